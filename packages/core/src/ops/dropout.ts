import { ArgumentError, ShapeError } from '../errors.ts';
import { defineKernel } from '../kernels/kernel.ts';
import { philoxFunction } from '../random/philox.ts';
import { type Seed, splitSeed } from '../random/seed.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { contiguous } from './copy.ts';

const workgroupSize = 64;

/** Each invocation decides over four elements with one Philox counter. */
const dropoutKernel = defineKernel({
  name: 'dropout',
  bindings: () => [
    { name: 'x', type: 'array<f32>', access: 'read' },
    { name: 'result', type: 'array<f32>', access: 'read_write' },
  ],
  parameters: [
    ['size', 'u32'],
    ['stream', 'u32'],
    ['seed_low', 'u32'],
    ['seed_high', 'u32'],
    ['rate', 'f32'],
    ['factor', 'f32'],
  ],
  workgroupSize: () => workgroupSize,
  source: () => ({
    declarations: philoxFunction,
    main: `
  let block = group * ${workgroupSize}u + lane;
  let words = philox(vec4u(block, 0u, params.stream, 0u), vec2u(params.seed_low, params.seed_high));
  let numbers = vec4f(words >> vec4u(8u)) * 0x1p-24f;
  for (var i = 0u; i < 4u; i++) {
    let at = 4u * block + i;
    if (at < params.size) { result[at] = select(0.0, x[at] * params.factor, numbers[i] >= params.rate); }
  }`,
  }),
});

export interface DropoutOptions {
  /** Probability of an element to be dropped, from 0 to below 1. */
  readonly rate: number;
  /** Default 0. */
  readonly seed?: Seed;
  /** Independent sequence under the same seed: from 0 to 2^32 - 1; one per use and step. Default 0. */
  readonly stream?: number;
}

/**
 * Sets elements to 0 at random and divides the others by 1 - rate (Srivastava et al., 2014). Which ones is a function of seed and
 * stream alone: element i stays where number i of `randomUniform` with them is `rate` or more.
 *
 * @param x f32, any shape
 * @returns f32, same shape
 * @throws ShapeError for another dtype, ArgumentError for an option out of its range.
 */
export function dropout(x: Tensor, options: DropoutOptions): Tensor {
  const { rate, seed = 0, stream = 0 } = options;
  if (!(rate >= 0 && rate < 1)) throw new ArgumentError('dropout: rate', rate, '0 <= rate < 1');
  if (!Number.isInteger(stream) || stream < 0 || stream >= 2 ** 32) {
    throw new ArgumentError('dropout: stream', stream, 'an integer from 0 to 2^32 - 1');
  }
  if (x.dtype !== 'f32') throw new ShapeError('dropout', `x is ${x.dtype}; allowed: f32.`);
  const { gpu } = x;
  const words = splitSeed('dropout: seed', seed);
  return gpu.tidy(() => {
    const result = gpu.empty(x.shape);
    gpu.launch(
      dropoutKernel,
      {},
      {
        bindings: [contiguous(x), result],
        parameters: [x.size, stream, ...words, rate, 1 / (1 - rate)],
        workgroups: Math.ceil(x.size / 4 / workgroupSize),
        cost: { flops: 40 * x.size, bytes: 8 * x.size },
      },
    );
    return result;
  });
}

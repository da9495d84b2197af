import type { Gpu } from '../device/gpu.ts';
import { ArgumentError } from '../errors.ts';
import { defineKernel } from '../kernels/kernel.ts';
import { checkShape, elementCount, type Shape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { philox, philoxFunction } from './philox.ts';
import { type Seed, splitSeed } from './seed.ts';

/** Which part of which random sequence. */
export interface RandomOptions {
  /** Default 0. */
  readonly seed?: Seed;
  /** Independent sequence under the same seed: from 0 to 2^32 - 1. Default 0. */
  readonly stream?: number;
  /** First element of the sequence that is taken. Default 0. */
  readonly offset?: number;
}

type Distribution = 'uniform' | 'normal' | 'gumbel';

const lanes = 64;

/** Declares `pair(first, second) -> vec2f`: two numbers of two words. */
const pairFunction: Readonly<Record<Distribution, string>> = {
  uniform: `
fn pair(first: u32, second: u32) -> vec2f {
  return vec2f(vec2u(first, second) >> vec2u(8u)) * 0x1p-24f;
}`,
  // The radius never sees 0; the angle stays in [-pi, pi), where WGSL states the accuracy of sine and cosine.
  normal: `
fn pair(first: u32, second: u32) -> vec2f {
  let radius = sqrt(max(-2.0 * log(f32((first >> 8u) + 1u) * 0x1p-24f), 0.0));
  let angle = (f32(second >> 8u) * 0x1p-24f - 0.5) * 6.283185307179586;
  return radius * vec2f(cos(angle), sin(angle));
}`,
  // Small w: the series of -log(1 - w), where 1 - w would have rounded its bits away. Otherwise 1 - w is made of the word's complement.
  gumbel: `
fn gumbel(word: u32) -> f32 {
  let w = (f32(word) + 0.5) * 0x1p-32f;
  let rest = (f32(~word) + 0.5) * 0x1p-32f;
  let exponential = select(-log(rest), w * (1.0 + w * (0.5 + w * (1.0 / 3.0))), w < 0.01);
  return -log(exponential);
}
fn pair(first: u32, second: u32) -> vec2f {
  return vec2f(gumbel(first), gumbel(second));
}`,
};

/**
 * Each invocation turns one Philox counter into up to four elements. Element e of a sequence belongs to counter e / 4; a
 * uniform number is the upper 24 bits of its word, a normal one half of a Box-Muller pair of two words, a Gumbel one
 * -log(-log(1 - w)) of all 32 bits of its word, w, without loss in either tail.
 */
const randomKernel = defineKernel<{ readonly distribution: Distribution }>({
  name: 'random',
  bindings: () => [{ name: 'out', type: 'array<f32>', access: 'read_write' }],
  parameters: [
    ['size', 'u32'],
    ['skip', 'u32'],
    ['block_low', 'u32'],
    ['block_high', 'u32'],
    ['stream', 'u32'],
    ['seed_low', 'u32'],
    ['seed_high', 'u32'],
  ],
  workgroupSize: () => lanes,
  source: ({ distribution }) => ({
    declarations: `${philoxFunction}
${pairFunction[distribution]}`,
    main: `
  let block = group * ${lanes}u + lane;
  let low = params.block_low + block;
  let words = philox(vec4u(low, params.block_high + u32(low < block), params.stream, 0u), vec2u(params.seed_low, params.seed_high));
  let numbers = vec4f(pair(words.x, words.y), pair(words.z, words.w));
  for (var i = 0u; i < 4u; i++) {
    let at = block * 4u + i - params.skip;
    // Elements before the first wrap around to large indices.
    if (at < params.size) { out[at] = numbers[i]; }
  }`,
  }),
});

interface Place {
  readonly block: number;
  readonly skip: number;
  readonly stream: number;
  readonly seed: readonly [number, number];
}

function place(operation: string, options: RandomOptions): Place {
  const { seed = 0, stream = 0, offset = 0 } = options;
  if (!Number.isInteger(stream) || stream < 0 || stream >= 2 ** 32) {
    throw new ArgumentError(`${operation}: stream`, stream, 'an integer from 0 to 2^32 - 1');
  }
  if (!Number.isSafeInteger(offset) || offset < 0)
    throw new ArgumentError(`${operation}: offset`, offset, 'a safe integer of 0 or more');
  return { block: Math.floor(offset / 4), skip: offset % 4, stream, seed: splitSeed(`${operation}: seed`, seed) };
}

function randomTensor(
  gpu: Gpu,
  operation: string,
  distribution: Distribution,
  shape: Shape,
  options: RandomOptions,
): Tensor {
  checkShape(`${operation}: shape`, shape);
  const { block, skip, stream, seed } = place(operation, options);
  const size = elementCount(shape);
  const out = gpu.empty(shape);
  gpu.launch(
    randomKernel,
    { distribution },
    {
      bindings: [out],
      parameters: [size, skip, block % 2 ** 32, Math.floor(block / 2 ** 32), stream, ...seed],
      workgroups: Math.ceil(Math.ceil((size + skip) / 4) / lanes),
      cost: { flops: 40 * size, bytes: 4 * size },
    },
  );
  return out;
}

function randomNumbers(
  operation: string,
  distribution: Distribution,
  count: number,
  options: RandomOptions,
): Float32Array {
  const { block, skip, stream, seed } = place(operation, options);
  if (!Number.isSafeInteger(count) || count < 0)
    throw new ArgumentError(`${operation}: count`, count, 'an integer of 0 or more');
  const out = new Float32Array(count);
  const pair = hostPairs[distribution];
  for (let at = -skip, next = block; at < count; at += 4, next++) {
    const [a, b, c, d] = philox([next % 2 ** 32, Math.floor(next / 2 ** 32), stream, 0], seed);
    const numbers = [...pair(a, b), ...pair(c, d)];
    for (let i = Math.max(-at, 0); i < 4 && at + i < count; i++) out[at + i] = numbers[i] as number;
  }
  return out;
}

const uniformPair = (first: number, second: number): [number, number] => [
  (first >>> 8) * 2 ** -24,
  (second >>> 8) * 2 ** -24,
];

function normalPair(first: number, second: number): [number, number] {
  const radius = Math.sqrt(-2 * Math.log(((first >>> 8) + 1) * 2 ** -24));
  const angle = ((second >>> 8) * 2 ** -24 - 0.5) * 2 * Math.PI;
  return [radius * Math.cos(angle), radius * Math.sin(angle)];
}

function gumbelPair(first: number, second: number): [number, number] {
  const gumbel = (word: number) => -Math.log(-Math.log1p(-(word + 0.5) * 2 ** -32));
  return [gumbel(first), gumbel(second)];
}

const hostPairs = { uniform: uniformPair, normal: normalPair, gumbel: gumbelPair };

/**
 * f32 numbers uniform in [0, 1), multiples of 2^-24, made on the GPU. Bit-equal to {@link uniformNumbers}.
 *
 * @throws ArgumentError for an option out of its range; LimitError over the binding limit.
 */
export function randomUniform(gpu: Gpu, shape: Shape, options: RandomOptions = {}): Tensor {
  return randomTensor(gpu, 'randomUniform', 'uniform', shape, options);
}

/** f32 numbers of the standard normal distribution, made on the GPU. Equal to {@link normalNumbers} up to f32 rounding of log, sine and cosine. */
export function randomNormal(gpu: Gpu, shape: Shape, options: RandomOptions = {}): Tensor {
  return randomTensor(gpu, 'randomNormal', 'normal', shape, options);
}

/**
 * f32 numbers of the standard Gumbel distribution, made on the GPU: the largest of logits plus these is a draw from their
 * softmax. Equal to {@link gumbelNumbers} up to f32 rounding of the logarithm; from -3.2 to 22.9.
 */
export function randomGumbel(gpu: Gpu, shape: Shape, options: RandomOptions = {}): Tensor {
  return randomTensor(gpu, 'randomGumbel', 'gumbel', shape, options);
}

/** The numbers of {@link randomUniform}, on the host. */
export function uniformNumbers(count: number, options: RandomOptions = {}): Float32Array {
  return randomNumbers('uniformNumbers', 'uniform', count, options);
}

/** The numbers of {@link randomNormal}, on the host, from f64 functions. */
export function normalNumbers(count: number, options: RandomOptions = {}): Float32Array {
  return randomNumbers('normalNumbers', 'normal', count, options);
}

/** The numbers of {@link randomGumbel}, on the host, from f64 functions. */
export function gumbelNumbers(count: number, options: RandomOptions = {}): Float32Array {
  return randomNumbers('gumbelNumbers', 'gumbel', count, options);
}

import { ArgumentError, ShapeError } from '../errors.ts';
import { defineKernel } from '../kernels/kernel.ts';
import { LOWEST, lowestScore } from '../kernels/wgsl.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { contiguous } from './copy.ts';

const lanes = 64;

/** One invocation per token. A masked candidate counts the candidates that go before it; few enough before it, and it is written. */
const unmaskKernel = defineKernel<Record<never, never>>({
  name: 'unmask',
  bindings: () => [
    { name: 'ids', type: 'array<u32>', access: 'read' },
    { name: 'proposals', type: 'array<u32>', access: 'read' },
    { name: 'confidence', type: 'array<f32>', access: 'read' },
    { name: 'result', type: 'array<u32>', access: 'read_write' },
  ],
  parameters: [
    ['size', 'u32'],
    ['start', 'u32'],
    ['candidates', 'u32'],
    ['mask_id', 'u32'],
    ['count', 'u32'],
    ['threshold', 'f32'],
  ],
  workgroupSize: () => lanes,
  source: () => ({
    main: `
  let at = group * ${lanes}u + lane;
  if (at >= params.size) { return; }
  var id = ids[at];
  let own = at - params.start;
  if (at >= params.start && own < params.candidates && id == params.mask_id) {
    let score = confidence[own];
    var before = 0u;
    for (var other = 0u; other < params.candidates; other++) {
      let ahead = confidence[other] > score || (confidence[other] == score && other < own);
      before += u32(ahead && ids[params.start + other] == params.mask_id);
    }
    if (before < params.count && (score > params.threshold || params.threshold <= ${LOWEST})) { id = proposals[own]; }
  }
  result[at] = id;`,
  }),
});

export interface UnmaskOptions {
  /** The id that stands for a masked token. */
  readonly maskId: number;
  /** Most tokens that are written; the others stay masked. Default: all. */
  readonly count?: number;
  /** Only tokens whose confidence is above this are written. Default: any. */
  readonly threshold?: number;
  /** Position of the first candidate. Default 0. */
  readonly start?: number;
}

/**
 * Writes proposed tokens where ids are masked, in the order of falling confidence, the first of equal ones first: one step of a
 * masked diffusion.
 *
 * @param ids u32 [N]
 * @param proposals u32 [R]: tokens for the R positions from `start` on
 * @param confidence f32 [R], finite
 * @returns u32 [N], a copy with the tokens in place
 * @throws ShapeError for tensors that do not fit; ArgumentError for an option out of its range
 */
export function unmaskTokens(ids: Tensor, proposals: Tensor, confidence: Tensor, options: UnmaskOptions): Tensor {
  const { gpu, size } = ids;
  const candidates = proposals.size;
  const { maskId, count = candidates, threshold = lowestScore, start = 0 } = options;
  if (ids.rank !== 1 || ids.dtype !== 'u32' || proposals.rank !== 1 || proposals.dtype !== 'u32') {
    throw new ShapeError(
      'unmaskTokens',
      `ids are ${ids.dtype}[${ids.shape}] and proposals ${proposals.dtype}[${proposals.shape}]; both are u32 of one axis.`,
    );
  }
  if (confidence.dtype !== 'f32' || confidence.rank !== 1 || confidence.size !== candidates) {
    throw new ShapeError(
      'unmaskTokens',
      `confidence is ${confidence.dtype}[${confidence.shape}]; needs f32 [${candidates}].`,
    );
  }
  checkWhole('maskId', maskId, 2 ** 32 - 1);
  checkWhole('count', count, candidates);
  checkWhole('start', start, size - candidates);
  if (Number.isNaN(threshold)) throw new ArgumentError('unmaskTokens: threshold', threshold, 'a number');
  return gpu.tidy(() => {
    const result = gpu.empty(ids.shape, 'u32');
    gpu.launch(
      unmaskKernel,
      {},
      {
        bindings: [contiguous(ids), contiguous(proposals), contiguous(confidence), result],
        parameters: [size, start, candidates, maskId, count, Math.max(threshold, lowestScore)],
        workgroups: Math.ceil(size / lanes),
        cost: { flops: candidates * candidates, bytes: 8 * size + 8 * candidates },
      },
    );
    return result;
  });
}

function checkWhole(name: string, value: number, most: number): void {
  if (Number.isInteger(value) && value >= 0 && value <= most) return;
  throw new ArgumentError(`unmaskTokens: ${name}`, value, `an integer from 0 to ${most}`);
}

import { contiguous } from '../../ops/copy.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { checkBackward } from './check-backward.ts';
import { type GradientCall, launchGradients } from './launch-gradients.ts';
import { backwardRowSums } from './row-sums.ts';
import type { AttentionBackwardOptions, AttentionGradients } from './types.ts';

// 64 f32 are 256 bytes, the largest alignment that WebGPU lets a device ask for.
const align = (elements: number): number => Math.ceil(elements / 64) * 64;

/**
 * Gradients of {@link attention} by q, k and v (FlashAttention-2, arXiv 2307.08691, section 3.1.2 and algorithm 2). Probabilities are
 * recomputed from the log-sum-exp, so that no score matrix is ever stored: beside the results it takes 2 numbers per row. Three
 * dispatches; sums have a fixed order, so results reproduce bit by bit.
 *
 * Sinks, biases, tables and key multipliers take part in the probabilities; gradients by them are not made. Rows that see no
 * key give zeros. Keys that a list does not name for a query cost nothing in the kernel for dQ, and in the one for dK and dV
 * as far as tiles of at most 32 keys and 32 queries hold no listed pair.
 *
 * @param dOut f32 [B, H, N, D]: gradient by the output
 * @param q f32 or f16 [B, H, N, D]
 * @param k f32 or f16 [B, Hkv, M, D]
 * @param v as `k`
 *
 * All may be strided views whose last axis is dense.
 * @throws ShapeError, ArgumentError (also for what has no gradient: `normalizer`, `givenProbabilities`, `keyStarts`, custom score
 *   modifiers, lists with `keyPositions`), LimitError
 */
export function attentionBackward(
  dOut: Tensor,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: AttentionBackwardOptions,
): AttentionGradients {
  const { gpu } = q;
  const { shape, sources } = checkBackward(dOut, q, k, v, options);
  const { batches, heads, kvHeads, queries, keys, headSize } = shape;
  return gpu.tidy(() => {
    const rows = backwardRowSums(dOut, options.output, contiguous(options.logSumExp), shape);
    const call: GradientCall = { q, k, v, dOut, rows, shape, sources, options };
    const dq = gpu.empty([batches, heads, queries, headSize]);
    launchGradients('queries', call, { result: dq, secondStart: 0 });
    const size = batches * kvHeads * keys * headSize;
    const secondStart = align(size);
    const both = gpu.empty([secondStart + size]);
    launchGradients('keys', call, { result: both, secondStart });
    const part = (start: number) => both.slice(0, start, start + size).reshape([batches, kvHeads, keys, headSize]);
    return { dq, dk: part(0), dv: part(secondStart) };
  });
}

import {
  type AttentionGradients,
  add,
  attentionBackward,
  concatenate,
  defineOptions,
  type GivenOptions,
  integer,
  parseOptions,
  ShapeError,
  type Tensor,
} from '@saccade/core';
import { combinePartials } from './combine-partials.ts';
import { forwardPass } from './forward-pass.ts';
import type { FlashAttentionResult } from './result.ts';
import { standardAttentionOptions } from './standard-attention.ts';
import { whereToLook } from './where-to-look.ts';

/** Options of {@link flashAttention1}. */
export const flashAttention1Options = defineOptions({
  ...standardAttentionOptions,
  keyBlock: integer({ default: 256, min: 1, description: 'Keys of a step of the outer loop.' }),
});

export type FlashAttention1Options = GivenOptions<typeof flashAttention1Options>;

/**
 * FlashAttention-1's loop order (arXiv 2205.14135, algorithm 1) out of the engine's parts, as what FlashAttention-2 is compared with:
 * the outer loop goes over blocks of keys, and each step reads, rescales, normalises and writes the outputs of all queries in memory.
 *
 * It models the order of the loops and that traffic, not the CUDA kernel: a step is four launches or more rather than a part of one, and
 * moves about 8 N D numbers per head where the published kernel moves 2 N D. For measurements; use `flashAttention`.
 *
 * @param q f32 or f16 [B, H, N, D]
 * @param k f32 or f16 [B, Hkv, M, D]
 * @param v as `k`
 * @throws OptionError, ShapeError, ArgumentError as `flashAttention`
 */
export function flashAttention1(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: FlashAttention1Options = {},
): FlashAttentionResult {
  const resolved = parseOptions(flashAttention1Options, options);
  const { gpu } = q;
  return gpu.tidy(() => {
    let running: FlashAttentionResult | undefined;
    for (const { keys, values, queryOffset } of keyBlocks(q, k, v, resolved.keyBlock)) {
      const before = running;
      running = gpu.tidy(() => {
        const partial = forwardPass(q, keys, values, { ...whereToLook(resolved), queryOffset });
        return before ? combinePartials([before, partial]) : partial;
      });
      before?.out.dispose();
      before?.logSumExp.dispose();
    }
    return running as FlashAttentionResult;
  });
}

/**
 * Gradients of {@link flashAttention1} in the same order (arXiv 2205.14135, algorithm 4): each block of keys gives its rows of dK and dV, and
 * adds to dQ in memory. A step runs the engine's backward pass on the block, whose sums per row are made anew each time.
 *
 * @throws OptionError, ShapeError, ArgumentError as `flashAttentionBackward`
 */
export function flashAttention1Backward(
  dOut: Tensor,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  out: Tensor,
  logSumExp: Tensor,
  options: FlashAttention1Options = {},
): AttentionGradients {
  const resolved = parseOptions(flashAttention1Options, options);
  const { gpu } = q;
  return gpu.tidy(() => {
    let dq: Tensor | undefined;
    const [dk, dv]: [Tensor[], Tensor[]] = [[], []];
    for (const { keys, values, queryOffset } of keyBlocks(q, k, v, resolved.keyBlock)) {
      const before = dq;
      const step = gpu.tidy(() => {
        const passed = { ...whereToLook(resolved), queryOffset, output: out, logSumExp };
        const block = attentionBackward(dOut, q, keys, values, passed);
        return { ...block, dq: before ? add(before, block.dq) : block.dq };
      });
      before?.dispose();
      dq = step.dq;
      dk.push(step.dk);
      dv.push(step.dv);
    }
    return { dq: dq as Tensor, dk: concatenate(dk, 2), dv: concatenate(dv, 2) };
  });
}

interface KeyBlock {
  readonly keys: Tensor;
  readonly values: Tensor;
  /** Position of the first query, counted from the block's first key. */
  readonly queryOffset: number;
}

function* keyBlocks(q: Tensor, k: Tensor, v: Tensor, keyBlock: number): Generator<KeyBlock> {
  if (q.rank !== 4 || k.rank !== 4 || v.shape.join() !== k.shape.join()) {
    throw new ShapeError(
      'flashAttention1',
      `q [${q.shape}], k [${k.shape}] and v [${v.shape}] do not fit: [B, H, N, D] and twice [B, Hkv, M, D].`,
    );
  }
  const [queries, keys] = [q.shape[2] as number, k.shape[2] as number];
  for (let start = 0; start < Math.max(keys, 1); start += keyBlock) {
    const end = Math.min(start + keyBlock, keys);
    yield { keys: k.slice(2, start, end), values: v.slice(2, start, end), queryOffset: keys - queries - start };
  }
}

import { softmax } from '../ops/softmax.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { checkWhereToLook } from './check-inputs.ts';
import type { KeyRows } from './paged/paged-rows.ts';
import { keyMass } from './statistics/key-mass.ts';
import { secondPass } from './statistics/second-pass.ts';
import type { WhereToLook } from './types.ts';
import { listEntries } from './where-to-look.ts';

/** Where to look is said as in {@link attention}; lists are token lists that all queries of a head share. */
export interface AttentionProbabilitiesOptions extends Omit<WhereToLook, 'blocks' | 'keyMultipliers' | 'normalizer'> {
  /** For the counting proof: u32 [1], to which the kernel adds every (workgroup, key) row that it loads. Tests only. */
  readonly keyRowCounter?: Tensor;
}

/**
 * The probability matrix itself, softmax(scale q k^T): for few queries, since it is stored whole. No value is read. For sums of
 * it over long prompts see {@link attentionStatistics}; to weigh values with it, {@link weightedValues}.
 *
 * @param q f32 or f16 [B, H, N, D]
 * @param k f32 or f16 [B, Hkv, M, D], or rows in pages
 * @returns f32 [B, H, N, M]; with a token list [B, H, N, K], by the list's entries. Keys that a query does not see have 0.
 * @throws ShapeError, ArgumentError; LimitError for a matrix over the binding limit
 */
export function attentionProbabilities(q: Tensor, k: KeyRows, options: AttentionProbabilitiesOptions = {}): Tensor {
  const shape = checkWhereToLook('attentionProbabilities', q, k, options);
  const { gpu } = q;
  return gpu.tidy(() => {
    const pass = secondPass('attentionProbabilities', q, k, shape, options);
    const { tokens, keyRowCounter } = options;
    const scores = keyMass(pass, {
      measure: 'score',
      joinedHeads: 1,
      queries: { begin: 0, end: shape.queries, last: 0 },
      chunk: 1,
      writeBound: tokens ? listEntries(tokens).length : pass.columns,
      byEntry: tokens !== undefined,
      keyRowCounter,
    });
    return softmax(scores);
  });
}

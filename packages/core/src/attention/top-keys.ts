import { ArgumentError } from '../errors.ts';
import { concatenate, contiguous } from '../ops/copy.ts';
import { topK } from '../ops/top-k.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { checkInteger, checkWhereToLook } from './check-inputs.ts';
import type { HeadGrouping } from './lists.ts';
import type { KeyRows } from './paged/paged-rows.ts';
import { headsOf } from './statistics/attention-statistics.ts';
import { checkLogSumExp, checkReduction } from './statistics/check-statistics.ts';
import { keyMass } from './statistics/key-mass.ts';
import { secondPass } from './statistics/second-pass.ts';
import type { HeadReduction } from './statistics/types.ts';
import type { WhereToLook } from './types.ts';

/** Where to look is said as in {@link attention}: keys that a query does not see do not count for it. */
export interface TopKeysOptions extends Omit<WhereToLook, 'tokens' | 'blocks' | 'keyStarts'> {
  /** Keys of each list, from 1 to the number of valid keys. */
  readonly k: number;
  /** One list per query head, per key/value head by the mean over its query heads, or by the mean over all heads. */
  readonly per: HeadReduction;
  /** Newest keys that the queries see and every list holds, within k. Default 0. */
  readonly forceNewest?: number;
  /** Oldest keys that the queries see and every list holds, within k beside the newest. Default 0. */
  readonly forceOldest?: number;
  /**
   * f32 [B, H, N] of attention with the same options: keys are ranked by their probability mass. Without it they are ranked
   * by their mean score, scale q k^T before the softmax, over the queries that see them.
   */
  readonly logSumExp?: Tensor;
  /** Consecutive queries that share a list; 1 makes a list per query. Default: all. */
  readonly queryBlock?: number;
}

/** Lists that {@link attention} takes as `tokens`. */
export interface TopKeys {
  /** u32 [B, H | Hkv | 1, k] ascending, with `queryBlock` [B, H | Hkv | 1, ceil(N / queryBlock), k]. */
  readonly indices: Tensor;
  /** A list of the mean over all heads counts as `kvHead` with a head axis of 1. */
  readonly per: HeadGrouping;
  readonly queryBlock?: number;
}

/** Scores that are held at once where every query block has a list: 16 MiB. */
const mostScores = 2 ** 22;

/**
 * The k keys with the highest attention scores, or with the largest probability mass: exact, ties to the lower row. A second
 * pass over q k^T, beside attention's own; nothing is read back.
 *
 * Where fewer than k keys are seen, lists are filled up with others, which attention under the same options ignores.
 *
 * @param q f32 or f16 [B, H, N, D]
 * @param keys f32 or f16 [B, Hkv, M, D]; may be a cache's whole capacity.
 * @throws ShapeError, ArgumentError
 */
export function topKeys(q: Tensor, keys: KeyRows, options: TopKeysOptions): TopKeys {
  const shape = checkWhereToLook('topKeys', q, keys, options);
  const { k, per, forceNewest = 0, forceOldest = 0, logSumExp, queryBlock } = options;
  const { batches, heads, queries } = shape;
  checkReduction('topKeys: per', per);
  if (queries === 0) throw new ArgumentError('topKeys: queries', 0, 'at least one');
  if (logSumExp) checkLogSumExp('topKeys', logSumExp, shape);
  if (queryBlock !== undefined) checkInteger('topKeys: queryBlock', queryBlock, 1, 2 ** 24);
  const joinedHeads = headsOf(per, shape);
  const grouping = per === 'allHeads' ? 'kvHead' : per;
  return q.gpu.tidy(() => {
    const pass = secondPass('topKeys', q, keys, shape, options);
    const { keyBound, columns } = pass;
    if (!(Number.isInteger(k) && k >= 1 && k <= keyBound)) {
      throw new ArgumentError('topKeys: k', k, `an integer from 1 to ${keyBound}, the number of keys`);
    }
    if (!(Number.isInteger(forceNewest) && forceNewest >= 0 && forceNewest <= k)) {
      throw new ArgumentError('topKeys: forceNewest', forceNewest, `an integer from 0 to k (${k})`);
    }
    if (!(Number.isInteger(forceOldest) && forceOldest >= 0 && forceOldest + forceNewest <= k)) {
      throw new ArgumentError(
        'topKeys: forceOldest',
        forceOldest,
        `an integer from 0 to k - forceNewest (${k - forceNewest})`,
      );
    }
    if (forceNewest + forceOldest > 0 && options.keyPositions) {
      const name = forceNewest > 0 ? 'forceNewest' : 'forceOldest';
      throw new ArgumentError(
        `topKeys: ${name}`,
        forceNewest || forceOldest,
        '0 where keyPositions say which keys are newest',
      );
    }
    const normaliser = logSumExp && contiguous(logSumExp);
    const lists = (begin: number, end: number, chunk: number | undefined) =>
      q.gpu.tidy(() => {
        const scores = keyMass(pass, {
          measure: normaliser ? 'probability' : 'score',
          joinedHeads,
          logSumExp: normaliser,
          queries: { begin, end, last: 0 },
          chunk,
          writeBound: keyBound,
          forceNewest,
          forceOldest,
        });
        return topK(scores, k, { lengths: keyBound, order: 'index' }).indices;
      });
    const results = heads / joinedHeads;
    if (queryBlock === undefined) {
      return { indices: lists(0, queries, undefined).reshape([batches, results, k]), per: grouping };
    }
    const step = queryBlock * Math.max(1, Math.floor(mostScores / (batches * results * columns)));
    const parts: Tensor[] = [];
    for (let begin = 0; begin < queries; begin += step) {
      parts.push(lists(begin, Math.min(begin + step, queries), queryBlock));
    }
    const indices = parts.length === 1 ? (parts[0] as Tensor) : concatenate(parts, 2);
    return { indices, per: grouping, queryBlock };
  });
}

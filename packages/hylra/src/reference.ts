/** HyLRA's selection in plain f64 loops: the definition that the GPU path is compared with. */
import type { ResolvedHylraOptions } from './options.ts';

/** One attention call of a full layer whose tokens others reuse. */
export interface ReferenceCall {
  readonly heads: number;
  readonly kvHeads: number;
  /** Queries N, the last of which stands at the last key. */
  readonly queries: number;
  /** Keys M. */
  readonly keys: number;
  /** scale q k^T of a head, query and key. */
  readonly score: (head: number, query: number, key: number) => number;
}

/**
 * The sets that a full layer hands on, [sets of heads][query blocks]: ascending positions of the k keys that rank highest on
 * average over a set's heads and a block's queries that see them. Forced ones first; where fewer than k are seen, those that
 * causality hides fill up.
 */
export function hylraReference(
  call: ReferenceCall,
  options: Omit<ResolvedHylraOptions, 'policy' | 'phases'>,
): number[][][] {
  const { heads, kvHeads, queries } = call;
  const { topK, selectionPer, recentTokens, sinkTokens } = options;
  const block = Math.min(options.queryBlock, topK, queries);
  const joined = selectionPer === 'queryHead' ? 1 : selectionPer === 'kvHead' ? heads / kvHeads : heads;
  const newest = Math.min(topK, Math.max(recentTokens, block));
  const oldest = Math.min(sinkTokens, topK - newest);
  return Array.from({ length: heads / joined }, (_, set) =>
    Array.from({ length: Math.ceil(queries / block) }, (__, index) => {
      const begin = index * block;
      const end = Math.min(begin + block, queries);
      const ranks = meanRanks(call, set * joined, (set + 1) * joined, begin, end, options.ranking);
      const seen = call.keys - queries + end;
      const value = (key: number) => {
        if (key >= seen) return Number.NEGATIVE_INFINITY;
        return key < oldest || key >= seen - newest ? Number.POSITIVE_INFINITY : (ranks[key] as number);
      };
      const order = Array.from({ length: call.keys }, (___, key) => key);
      order.sort((a, b) => (value(b) === value(a) ? a - b : value(b) - value(a)));
      return order.slice(0, topK).sort((a, b) => a - b);
    }),
  );
}

function meanRanks(
  { keys, queries, score }: ReferenceCall,
  firstHead: number,
  endHead: number,
  begin: number,
  end: number,
  ranking: 'score' | 'probability',
): Float64Array {
  const sums = new Float64Array(keys);
  const seen = new Float64Array(keys);
  for (let head = firstHead; head < endHead; head++) {
    for (let query = begin; query < end; query++) {
      const scores = Array.from({ length: keys - queries + query + 1 }, (_, key) => score(head, query, key));
      const total = scores.reduce((sum, value) => sum + Math.exp(value), 0);
      scores.forEach((value, key) => {
        sums[key] = (sums[key] as number) + (ranking === 'score' ? value : Math.exp(value) / total);
        seen[key] = (seen[key] as number) + 1;
      });
    }
  }
  return ranking === 'score' ? sums.map((sum, key) => sum / (seen[key] as number)) : sums;
}

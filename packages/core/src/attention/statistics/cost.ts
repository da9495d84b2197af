import type { Tensor } from '../../tensor/tensor.ts';
import type { AttentionShape } from '../check-inputs.ts';
import type { AttentionCost } from '../cost.ts';
import type { KeyRows } from '../paged/paged-rows.ts';
import { callBounds } from '../plan-call.ts';
import { callSources, listEntries } from '../where-to-look.ts';
import { checkStatistics } from './check-statistics.ts';
import type { AttentionStatisticsOptions, StatisticsRequest } from './types.ts';

/** What one second pass goes over: rows of some query heads, and the keys that each may meet. */
export interface SecondPassWork {
  readonly heads: number;
  readonly rows: number;
  readonly entries: number;
}

/**
 * Upper bound of one second pass: 2 D FLOPs per (query head, query, key), half of attention's own, since no values are
 * read. Masked pairs count, as in attention's own cost. Results are small beside what is read and do not count.
 */
export function secondPassCost(shape: AttentionShape, { heads, rows, entries }: SecondPassWork): AttentionCost {
  const { batches, kvHeads, headSize } = shape;
  return {
    flops: 2 * batches * heads * rows * entries * headSize,
    bytes: 4 * batches * (Math.min(kvHeads, heads) * entries * headSize + heads * rows * (headSize + 1)),
  };
}

/** Declared work of {@link attentionStatistics}. */
export interface AttentionStatisticsCost extends AttentionCost {
  /** Passes over q k^T, beside the one of attention that gave the log-sum-exp. */
  readonly secondPasses: number;
}

/**
 * What a call of {@link attentionStatistics} costs on top of attention (lengths on the device count as their bounds).
 * @throws ShapeError, ArgumentError as the call itself.
 */
export function attentionStatisticsCost(
  q: Tensor,
  k: KeyRows,
  options: AttentionStatisticsOptions<StatisticsRequest>,
): AttentionStatisticsCost {
  const shape = checkStatistics(q, k, options);
  const { heads } = shape;
  const { keyMass, keySetMass, expectation, entropy, blockMean, probabilityRows }: StatisticsRequest = options.want;
  const { keyBound, queryBound } = callBounds(shape, options);
  const { tokens } = callSources(options);
  const entries = tokens ? listEntries(tokens.list).count : keyBound;
  const whole = { heads, rows: queryBound, entries };
  const passes: SecondPassWork[] = [];
  if (keyMass) {
    const { queries: range } = keyMass;
    const rows = !range ? queryBound : 'last' in range ? Math.min(range.last, queryBound) : range.end - range.start;
    passes.push({ ...whole, rows });
  }
  if (keySetMass || expectation || entropy) passes.push(whole);
  if (blockMean) passes.push(whole);
  if (probabilityRows) {
    const { queries: named, heads: namedHeads, keys } = probabilityRows;
    const columns = keys ? Math.min(keys.end - keys.start, entries) : entries;
    const rows = 'length' in named ? named.length : named.size;
    passes.push({ heads: namedHeads?.length ?? heads, rows, entries: columns });
  }
  const costs = passes.map((pass) => secondPassCost(shape, pass));
  return {
    secondPasses: passes.length,
    flops: costs.reduce((sum, { flops }) => sum + flops, 0),
    bytes: costs.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}

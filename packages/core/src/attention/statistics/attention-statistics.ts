import { contiguous } from '../../ops/copy.ts';
import { multiply } from '../../ops/elementwise.ts';
import { mean } from '../../ops/reduce.ts';
import { Tensor } from '../../tensor/tensor.ts';
import type { AttentionShape } from '../check-inputs.ts';
import type { KeyRows } from '../paged/paged-rows.ts';
import { range } from '../text.ts';
import { blockMean } from './block-mean.ts';
import { checkStatistics } from './check-statistics.ts';
import { keyMass } from './key-mass.ts';
import { probabilityRows } from './probability-rows.ts';
import { rowStatistics } from './row-statistics.ts';
import { type SecondPass, secondPass } from './second-pass.ts';
import type {
  AttentionStatistics,
  AttentionStatisticsOptions,
  HeadReduction,
  KeyMassRequest,
  QueryRange,
  StatisticsRequest,
} from './types.ts';

/**
 * What attention pays its weight to, computed by a second pass over q k^T with the log-sum-exp of the first one: no
 * probability matrix is ever stored. Each of `keyMass`, `blockMean` and `probabilityRows` costs such a pass (the last one
 * over the named rows only); `keySetMass`, `expectation` and `entropy` share one. See {@link attentionStatisticsCost}.
 *
 * Everything is recorded and nothing is read back; lengths on the device stay there. Sums have a fixed order.
 *
 * @param q f32 or f16 [B, H, N, D]
 * @param k f32 or f16 [B, Hkv, M, D], as in the first pass.
 * @param options What to compute, and where to look: the same options as of the first pass.
 * @throws ShapeError, ArgumentError, LimitError
 */
export function attentionStatistics<const Want extends StatisticsRequest>(
  q: Tensor,
  k: KeyRows,
  options: AttentionStatisticsOptions<Want>,
): AttentionStatistics<Want> {
  const shape = checkStatistics(q, k, options);
  const { batches, heads, queries } = shape;
  const { gpu } = q;
  const want: StatisticsRequest = options.want;
  return gpu.tidy(() => {
    const pass = secondPass('attentionStatistics', q, k, shape, options);
    const logSumExp = contiguous(options.normalizer ?? options.logSumExp);
    const result: Partial<Record<keyof StatisticsRequest, Tensor>> = {};
    if (want.keyMass) result.keyMass = massOfKeys(pass, logSumExp, want.keyMass);
    if (want.keySetMass || want.expectation || want.entropy) {
      const { keySetMass: sets, expectation, entropy = false } = want;
      const sums = rowStatistics(pass, { logSumExp, sets, weights: expectation?.keyWeights, entropy });
      const plane = (index: number) => sums.slice(0, index, index + 1).reshape([batches, heads, queries]);
      const count = sets?.count ?? 0;
      if (sets) result.keySetMass = sums.slice(0, 0, count).transpose(1, 2, 3, 0);
      if (expectation) result.expectation = plane(count);
      if (entropy) result.entropy = plane(count + (expectation ? 1 : 0));
    }
    if (want.blockMean) result.blockMean = blockMean(pass, logSumExp, want.blockMean);
    if (want.probabilityRows) {
      const { queries: rows, heads: named, keys = { start: 0, end: pass.columns } } = want.probabilityRows;
      result.probabilityRows = probabilityRows(pass, {
        logSumExp,
        rows: rows instanceof Tensor ? rows : gpu.tensor(rows, [rows.length], 'u32'),
        heads: gpu.tensor(named ?? range(heads), [named?.length ?? heads], 'u32'),
        keys,
      });
    }
    return result as AttentionStatistics<Want>;
  });
}

/** f32 [B, H | Hkv | 1, M] */
function massOfKeys(pass: SecondPass, logSumExp: Tensor, request: KeyMassRequest): Tensor {
  const { columns } = pass;
  const { batches, heads, queries } = pass.shape;
  const { per = 'queryHead', queryWeights, keyWeights } = request;
  const wanted = headsOf(per, pass.shape);
  // Lists of different heads name different keys: their masses are joined afterwards.
  const joinedHeads = pass.listShare > 0 ? Math.min(wanted, pass.listShare) : wanted;
  const parts = keyMass(pass, {
    measure: 'probability',
    joinedHeads,
    logSumExp,
    queryWeights: queryWeights && contiguous(queryWeights.broadcastTo([batches, heads, queries])),
    queries: queriesOf(request.queries, pass.queryBound),
    writeBound: columns,
  });
  const results = heads / wanted;
  const mass =
    joinedHeads === wanted
      ? parts.reshape([batches, results, columns])
      : mean(parts.reshape([batches, results, wanted / joinedHeads, columns]), { axis: 2 });
  return keyWeights ? multiply(mass, keyWeights.broadcastTo(mass.shape)) : mass;
}

/** Query heads that one result of a reduction stands for. */
export function headsOf(per: HeadReduction, { heads, kvHeads }: AttentionShape): number {
  return per === 'queryHead' ? 1 : per === 'kvHead' ? heads / kvHeads : heads;
}

function queriesOf(range: QueryRange | undefined, queries: number) {
  if (!range) return { begin: 0, end: queries, last: 0 };
  if ('last' in range) return { begin: 0, end: queries, last: range.last };
  return { begin: range.start, end: range.end, last: 0 };
}

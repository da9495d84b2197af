import { attention } from '../../attention/attention.ts';
import {
  type ProbabilitySumsWhere,
  probabilitySumsBackward,
} from '../../attention/backward/probability-sums-backward.ts';
import { attentionStatistics } from '../../attention/statistics/attention-statistics.ts';
import type { KeySetMassRequest } from '../../attention/statistics/types.ts';
import { ArgumentError, ShapeError } from '../../errors.ts';
import { contiguous } from '../../ops/copy.ts';
import { gather } from '../../ops/gather.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { record, type Value } from '../tape.ts';

/** Where a differentiable statistic looks, as the attention whose probabilities it is about. Tensors in it are constants. */
export interface AttentionMassOptions extends ProbabilitySumsWhere {
  /** f32 [B, H, N]: of that attention, where the caller has it; else a first pass over the keys computes it. */
  readonly logSumExp?: Tensor;
}

export interface KeySetMassOptions extends AttentionMassOptions, KeySetMassRequest {}

export interface KeyExpectationOptions extends AttentionMassOptions {
  /** f32 [M], [B, M] or [B, H, M]: the number that each key carries. */
  readonly keyWeights: Tensor;
}

export interface KeyMassOptions extends AttentionMassOptions {
  /** f32, broadcast to [B, H, N]: the factor of each query. Default 1. */
  readonly queryWeights?: Tensor;
}

type Where = ProbabilitySumsWhere & { readonly logSumExp: Tensor };

/** The options with a log-sum-exp: the attention's own, or that of a pass whose values do not matter. */
function withLogSumExp(q: Tensor, k: Tensor, options: AttentionMassOptions): Where {
  const { logSumExp, ...where } = options;
  const multipliers: unknown = Reflect.get(options, 'keyMultipliers');
  if (multipliers !== undefined) throw new ArgumentError('attention mass: keyMultipliers', 'given', 'none');
  const found = logSumExp ?? attention(q, k, k, { ...where, returnLogSumExp: true }).logSumExp;
  return { ...where, logSumExp: found as Tensor };
}

/** Numbers of keys [M, ...], [B, M, ...] or [B, H, M, ...] for each head. */
function perHead(numbers: Tensor, lead: 1 | 2 | 3, [batches, heads]: readonly number[]): Tensor {
  const own = numbers.shape.slice(lead - 1);
  const before = lead === 1 ? [1, 1] : lead === 2 ? [numbers.shape[0] as number, 1] : numbers.shape.slice(0, 2);
  return contiguous(numbers)
    .reshape([...before, ...own])
    .broadcastTo([batches as number, heads as number, ...own]);
}

function checkRank(operation: string, name: string, { shape, rank }: Tensor): 1 | 2 | 3 {
  if (rank !== 1 && rank !== 2 && rank !== 3) {
    throw new ShapeError(operation, `${name} is [${shape}]; expected [M], [B, M] or [B, H, M].`);
  }
  return rank;
}

/** Heads that values of a rank have: one per group unless they are given per query head. */
const valueHeads = (rank: 1 | 2 | 3, q: Tensor, k: Tensor) => [
  q.shape[0] as number,
  (rank === 3 ? q : k).shape[1] as number,
];

/**
 * The probability mass that each row gives to each of a few disjoint sets of keys, with gradients by q and k: for training that says
 * where attention belongs. No probability matrix is stored in either pass.
 *
 * @param q f32 or f16 [B, H, N, D]
 * @param k f32 or f16 [B, Hkv, M, D]
 * @returns f32 [B, H, N, S]
 * @throws as `attentionStatistics` and `attentionBackward`; ArgumentError for key multipliers
 */
export function keySetMass(q: Value, k: Value, options: KeySetMassOptions): Value {
  const { sets, count, ...rest } = options;
  return record('keySetMass', [q, k], (...tensors) => {
    const [queries, keys] = tensors as [Tensor, Tensor];
    const rank = checkRank('keySetMass', 'sets', sets);
    const where = withLogSumExp(queries, keys, rest);
    const { keySetMass: mass } = attentionStatistics(queries, keys, {
      ...where,
      want: { keySetMass: { sets, count } },
    });
    return {
      output: mass,
      saved: [queries, keys, mass, where.logSumExp, sets],
      backward: (gradient, saved) => {
        const [savedQ, savedK, sums, logSumExp, ids] = saved as [Tensor, Tensor, Tensor, Tensor, Tensor];
        // One-hot rows; ids of no set give zeros.
        const identity = Array.from({ length: count * count }, (_, at) => (at % (count + 1) === 0 ? 1 : 0));
        const members = gather(gradient.gpu.tensor(identity, [count, count]), ids);
        const values = perHead(members, rank, valueHeads(rank, savedQ, savedK));
        const { dq, dk } = probabilitySumsBackward(gradient, savedQ, savedK, { ...where, logSumExp, values, sums });
        return [dq, dk];
      },
    };
  });
}

/**
 * The mean of a number that each key carries, such as its place, under each row's distribution, with gradients by q and k.
 *
 * @param q f32 or f16 [B, H, N, D]
 * @param k f32 or f16 [B, Hkv, M, D]
 * @returns f32 [B, H, N]
 * @throws as {@link keySetMass}
 */
export function keyExpectation(q: Value, k: Value, options: KeyExpectationOptions): Value {
  const { keyWeights, ...rest } = options;
  return record('keyExpectation', [q, k], (...tensors) => {
    const [queries, keys] = tensors as [Tensor, Tensor];
    const rank = checkRank('keyExpectation', 'keyWeights', keyWeights);
    const where = withLogSumExp(queries, keys, rest);
    const { expectation } = attentionStatistics(queries, keys, { ...where, want: { expectation: { keyWeights } } });
    return {
      output: expectation,
      saved: [queries, keys, expectation, where.logSumExp, keyWeights],
      backward: (gradient, saved) => {
        const [savedQ, savedK, sums, logSumExp, weights] = saved as [Tensor, Tensor, Tensor, Tensor, Tensor];
        const values = perHead(weights, rank, valueHeads(rank, savedQ, savedK));
        const { dq, dk } = probabilitySumsBackward(column(gradient), savedQ, savedK, {
          ...where,
          logSumExp,
          values: column(values),
          sums: column(sums),
        });
        return [dq, dk];
      },
    };
  });
}

/**
 * The probability mass that each key receives, the sum over queries, with gradients by q and k: a map of attention over keys to compare with
 * a given one, such as that of a gaze.
 *
 * @param q f32 or f16 [B, H, N, D]
 * @param k f32 or f16 [B, Hkv, M, D]
 * @returns f32 [B, H, M]
 * @throws as {@link keySetMass}
 */
export function keyMass(q: Value, k: Value, options: KeyMassOptions = {}): Value {
  const { queryWeights, ...rest } = options;
  return record('keyMass', [q, k], (...tensors) => {
    const [queries, keys] = tensors as [Tensor, Tensor];
    const where = withLogSumExp(queries, keys, rest);
    const want = { keyMass: queryWeights ? { queryWeights } : {} };
    const { keyMass: mass } = attentionStatistics(queries, keys, { ...where, want });
    return {
      output: mass,
      saved: [queries, keys, where.logSumExp, ...(queryWeights ? [queryWeights] : [])],
      backward: (gradient, saved) => {
        const [savedQ, savedK, logSumExp, factors] = saved as [Tensor, Tensor, Tensor, Tensor?];
        const { gpu } = savedQ;
        // Of each row: its factor times the mean of the gradient under its distribution.
        const keyWeights = contiguous(gradient);
        const own = { ...where, logSumExp };
        const { expectation } = attentionStatistics(savedQ, savedK, { ...own, want: { expectation: { keyWeights } } });
        const rowFactors = (factors ?? gpu.tensor([1], [1])).broadcastTo(expectation.shape);
        const { dq, dk } = probabilitySumsBackward(column(rowFactors), savedQ, savedK, {
          ...own,
          values: column(keyWeights),
          sums: column(expectation),
        });
        return [dq, dk];
      },
    };
  });
}

/** [..., 1] */
function column(x: Tensor): Tensor {
  return contiguous(x).reshape([...x.shape, 1]);
}

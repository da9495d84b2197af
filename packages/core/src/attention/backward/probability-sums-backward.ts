import { ArgumentError, ShapeError } from '../../errors.ts';
import { cast, contiguous, copyInto } from '../../ops/copy.ts';
import { pad } from '../../ops/pad.ts';
import { sameShape } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { checkWhereToLook } from '../check-inputs.ts';
import type { WhereToLook } from '../types.ts';
import { attentionBackward } from './attention-backward.ts';

const operation = 'probabilitySumsBackward';

/** Where {@link probabilitySumsBackward} looks: as the call that made the probabilities. */
export type ProbabilitySumsWhere = Omit<WhereToLook, 'normalizer' | 'keyStarts' | 'keyMultipliers'>;

export interface ProbabilitySumsBackwardOptions extends ProbabilitySumsWhere {
  /** f32 [B, H, M, S], or [B, Hkv, M, S] for all query heads of a group: what each key counts in each sum. */
  readonly values: Tensor;
  /** f32 [B, H, N, S]: sum over keys of probability times value. */
  readonly sums: Tensor;
  /** f32 [B, H, N]: of the first pass. */
  readonly logSumExp: Tensor;
}

/**
 * Gradients by q and k of sums over keys of probability times value, such as masses of key sets: those of an attention whose values are
 * these (dP = gradient . values), so that no probability matrix is ever stored.
 *
 * @param gradient f32 [B, H, N, S], by the sums
 * @param q f32 or f16 [B, H, N, D]
 * @param k f32 or f16 [B, Hkv, M, D]
 * @returns f32 in the shapes of q and k
 * @throws ShapeError where shapes do not fit; ArgumentError for S H / Hkv above 256, and as `attentionBackward`
 */
export function probabilitySumsBackward(
  gradient: Tensor,
  q: Tensor,
  k: Tensor,
  options: ProbabilitySumsBackwardOptions,
): { readonly dq: Tensor; readonly dk: Tensor } {
  const { gpu } = q;
  const { values, sums, logSumExp, ...where } = options;
  const multipliers: unknown = Reflect.get(options, 'keyMultipliers');
  if (multipliers !== undefined) throw new ArgumentError(`${operation}: keyMultipliers`, 'given', 'none');
  const { batches, heads, kvHeads, queries, keys, headSize } = checkWhereToLook(operation, q, k, where);
  const [, valueHeads, , count = 0] = values.shape;
  const rows = [batches, heads, queries, count];
  const ofKeys = (given: number) => [batches, given, keys, count];
  if (!sameShape(values.shape, ofKeys(valueHeads === kvHeads ? kvHeads : heads)) || !sameShape(gradient.shape, rows)) {
    throw new ShapeError(
      operation,
      `values [${values.shape}] and gradient [${gradient.shape}] do not fit; expected [${ofKeys(heads)}] and [${rows}].`,
    );
  }
  return gpu.tidy(() => {
    // Values that differ between the query heads of a group stand side by side: each head meets its own alone.
    const shares = valueHeads === kvHeads ? 1 : heads / kvHeads;
    const columns = shares * count;
    const width = Math.max(headSize, columns);
    const widened = (x: Tensor) => {
      const floats = cast(x, 'f32');
      const missing = width - (x.shape[3] as number);
      return missing === 0 ? floats : pad(floats, [none, none, none, [0, missing]]);
    };
    const byRow = (x: Tensor) => widened(shares === 1 ? x : ownColumns(x, shares));
    const byKey = shares === 1 ? values : sideBySide(values, kvHeads);
    const { dq, dk } = attentionBackward(byRow(gradient), widened(q), widened(k), widened(byKey), {
      ...where,
      scale: where.scale ?? 1 / Math.sqrt(headSize),
      output: byRow(sums),
      logSumExp,
    });
    return { dq: contiguous(dq.slice(3, 0, headSize)), dk: contiguous(dk.slice(3, 0, headSize)) };
  });
}

const none = [0, 0] as const;

/** [B, H, M, S] -> [B, Hkv, M, H / Hkv S] */
function sideBySide(values: Tensor, kvHeads: number): Tensor {
  const [batches, heads, keys, count] = values.shape as [number, number, number, number];
  const shares = heads / kvHeads;
  const grouped = contiguous(values).reshape([batches, kvHeads, shares, keys, count]).transpose(0, 1, 3, 2, 4);
  return contiguous(grouped).reshape([batches, kvHeads, keys, shares * count]);
}

/** [B, H, N, S] -> [B, H, N, shares S]: zero but for the columns of the head's place in its group. */
function ownColumns(x: Tensor, shares: number): Tensor {
  const [batches, heads, rows, count] = x.shape as [number, number, number, number];
  const placed = x.gpu.zeros([batches, heads / shares, shares, rows, shares, count]);
  const grouped = contiguous(x).reshape([batches, heads / shares, shares, rows, 1, count]);
  for (let share = 0; share < shares; share++) {
    const target = placed.slice(2, share, share + 1).slice(4, share, share + 1);
    copyInto(target, grouped.slice(2, share, share + 1));
  }
  return placed.reshape([batches, heads, rows, shares * count]);
}

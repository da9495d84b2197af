import { ArgumentError, ShapeError } from '../errors.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { CallParts } from './call-parts.ts';
import type { AttentionShape } from './check-inputs.ts';
import { stridedInput } from './strided-input.ts';

/** Factors on probabilities, per stored key. */
export interface KeyMultipliers<Values = Tensor> {
  /** f32 [M], [B, M] or [B, H, M], by stored row; a strided view if need be. In the reference [B, H, M]. */
  readonly factors: Values;
  /**
   * `true`: factors act before the normalisation, so that a row's probabilities sum to 1 again and the log-sum-exp is that of
   * factor exp(score); none may be negative. `false`: they act after it, a row sums to what the factors make of it, and the
   * log-sum-exp stays that of the scores.
   */
  readonly renormalise: boolean;
}

/** What the tile loop needs to know of how a call weighs its keys. */
export interface TrustText {
  /** Whether factors act before or after the normalisation. */
  readonly multipliers: 'none' | 'before' | 'after';
  /** Rows are normalised by given log-sum-exps. */
  readonly normalizer: boolean;
}

/** Compiles multipliers and the normalizer; inputs and numbers go to `parts`. */
export function trustText(
  options: { readonly keyMultipliers?: KeyMultipliers; readonly normalizer?: Tensor },
  shape: AttentionShape,
  parts: CallParts,
): TrustText {
  const { keyMultipliers, normalizer } = options;
  if (normalizer) {
    const { batches, heads, queries } = shape;
    const expected = [batches, heads, queries];
    if (normalizer.dtype !== 'f32') throw new ArgumentError('attention: normalizer', normalizer.dtype, 'f32');
    if (normalizer.rank !== 3 || expected.some((size, axis) => normalizer.shape[axis] !== size)) {
      throw new ShapeError('attention', `normalizer is [${normalizer.shape}]; it takes [${expected}].`);
    }
    parts.input('normalizer', normalizer);
  }
  if (keyMultipliers) multiplierInput(keyMultipliers.factors, shape, parts);
  return {
    multipliers: !keyMultipliers ? 'none' : keyMultipliers.renormalise ? 'before' : 'after',
    normalizer: normalizer !== undefined,
  };
}

function multiplierInput(factors: Tensor, { batches, heads, keys }: AttentionShape, parts: CallParts): void {
  if (!(factors instanceof Tensor) || factors.dtype !== 'f32') {
    throw new ArgumentError(
      'attention: keyMultipliers',
      factors instanceof Tensor ? factors.dtype : factors,
      'a tensor f32',
    );
  }
  const last =
    factors.rank === 2 ? factors.reshape([factors.shape[0] as number, 1, factors.shape[1] as number]) : factors;
  if (last.rank > 3 || last.shape.at(-1) !== keys) {
    throw new ShapeError(
      'attention',
      `keyMultipliers is [${factors.shape}]; it takes [${keys}], [B, ${keys}] or [B, H, ${keys}].`,
    );
  }
  const view = last.broadcastTo([batches, heads, keys]);
  const { range, start } = stridedInput(view.gpu, 'attention', 'keyMultipliers', view);
  parts.input('multipliers', view, range);
  parts.number('multipliers_origin', 'u32', start);
  parts.number('multipliers_batch', 'u32', view.strides[0] as number);
  parts.number('multipliers_head', 'u32', view.strides[1] as number);
}

/** WGSL of the factor of a stored key. */
export function multiplierAt(head: string, row: string): string {
  const place = `batch * params.multipliers_batch + ${head} * params.multipliers_head`;
  return `load_multipliers(params.multipliers_origin + ${place} + ${row})`;
}

import { ArgumentError, ShapeError } from '../errors.ts';
import { topK } from '../ops/top-k.ts';
import { Tensor } from '../tensor/tensor.ts';
import { keyScores } from './key-scores.ts';
import type { HeadGrouping } from './types.ts';

export interface TopKeysOptions {
  /** Keys of each list, from 1 to the number of valid keys. */
  readonly k: number;
  /** One list per query head, or one per key/value head by the mean score of its query heads. */
  readonly per: HeadGrouping;
  /** Valid keys: a number for all, or u32 [B] on the device. Default: all M. */
  readonly keyLength?: number | Tensor;
  /** Factor on q k^T; matters for nothing but ties. Default 1 / sqrt(D). */
  readonly scale?: number;
  /** Newest valid keys that every list holds, within k. Default 0. */
  readonly forceNewest?: number;
}

/** Lists that {@link attention} takes as `tokens`. */
export interface TopKeys {
  /** u32 [B, H, k] or [B, Hkv, k], ascending positions. */
  readonly indices: Tensor;
  readonly per: HeadGrouping;
}

/**
 * Positions of the k keys with the highest attention scores per head, exact, ties to the lower position. Several queries
 * count by the mean of their scores. A second pass over q k^T, beside attention's own; nothing is read back.
 *
 * With a device-side `keyLength` below k, lists are filled up with positions past it, which attention ignores.
 *
 * @param q f32 or f16 [B, H, N, D]
 * @param keys f32 or f16 [B, Hkv, M, D]; may be a cache's whole capacity.
 * @throws ShapeError, ArgumentError
 */
export function topKeys(q: Tensor, keys: Tensor, options: TopKeysOptions): TopKeys {
  const { k, per, forceNewest = 0 } = options;
  checkShapes(q, keys);
  const count = keys.shape[2] as number;
  const keyLength = options.keyLength ?? count;
  const bound = typeof keyLength === 'number' ? keyLength : count;
  if (typeof keyLength === 'number' && !(Number.isInteger(keyLength) && keyLength >= 1 && keyLength <= count)) {
    throw new ArgumentError('topKeys: keyLength', keyLength, `an integer from 1 to ${count}, or u32 [B]`);
  }
  if (keyLength instanceof Tensor && (keyLength.dtype !== 'u32' || keyLength.size !== q.shape[0])) {
    throw new ShapeError('topKeys', `keyLength ${keyLength.dtype}[${keyLength.shape}] is not u32 [${q.shape[0]}].`);
  }
  if (!(Number.isInteger(k) && k >= 1 && k <= bound)) {
    throw new ArgumentError('topKeys: k', k, `an integer from 1 to ${bound}, the number of keys`);
  }
  if (per !== 'queryHead' && per !== 'kvHead') throw new ArgumentError('topKeys: per', per, "'queryHead' or 'kvHead'");
  if (!(Number.isInteger(forceNewest) && forceNewest >= 0 && forceNewest <= k)) {
    throw new ArgumentError('topKeys: forceNewest', forceNewest, `an integer from 0 to k (${k})`);
  }
  const scale = options.scale ?? 1 / Math.sqrt(q.shape[3] as number);
  const indices = q.gpu.tidy(() => {
    const scores = keyScores(q, keys, { per, scale, keyLength, forceNewest });
    return topK(scores, k, { lengths: bound, order: 'index' }).indices;
  });
  return { indices, per };
}

function checkShapes(q: Tensor, keys: Tensor): void {
  const [batches, heads, queries, headSize] = q.shape;
  const [keyBatches, kvHeads, , keySize] = keys.shape;
  const fit =
    q.rank === 4 &&
    keys.rank === 4 &&
    batches === keyBatches &&
    headSize === keySize &&
    (heads as number) % (kvHeads as number) === 0;
  if (!fit || queries === 0) {
    throw new ShapeError(
      'topKeys',
      `q [${q.shape}] and keys [${keys.shape}]; needs [B, H, N, D] and [B, Hkv, M, D] with N >= 1, H a multiple of Hkv.`,
    );
  }
  for (const tensor of [q, keys]) {
    if (tensor.dtype !== 'f32' && tensor.dtype !== 'f16')
      throw new ShapeError('topKeys', `${tensor.dtype} is not f32 or f16.`);
  }
}

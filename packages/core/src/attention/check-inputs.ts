import { ArgumentError, ShapeError } from '../errors.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { AttentionOptions, HeadGrouping, TokenList } from './types.ts';

/** The sizes of an attention call. */
export interface AttentionShape {
  readonly batches: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly queries: number;
  readonly keys: number;
  readonly headSize: number;
}

/** Shapes and dtypes of q [B, H, N, D] and k [B, Hkv, M, D]. */
export function checkQueryAndKey(operation: string, q: Tensor, k: Tensor): AttentionShape {
  for (const [name, tensor] of [
    ['q', q],
    ['k', k],
  ] as const) {
    if (tensor.rank !== 4) throw new ShapeError(operation, `${name} is [${tensor.shape}]; it takes 4 axes.`);
    if (tensor.dtype !== 'f32' && tensor.dtype !== 'f16') {
      throw new ArgumentError(`${operation}: dtype of ${name}`, tensor.dtype, 'f32, f16');
    }
  }
  const [batches, heads, queries, headSize] = q.shape as [number, number, number, number];
  const [keyBatches, kvHeads, keys, keySize] = k.shape as [number, number, number, number];
  if (keyBatches !== batches || keySize !== headSize || kvHeads === 0 || heads % kvHeads !== 0) {
    throw new ShapeError(
      operation,
      `q [${q.shape}] and k [${k.shape}] do not fit: [B, H, N, D] and [B, Hkv, M, D] with H a multiple of Hkv.`,
    );
  }
  if (headSize < 1 || headSize > 256) throw new ArgumentError(`${operation}: head size`, headSize, '1 to 256');
  return { batches, heads, kvHeads, queries, keys, headSize };
}

/** Checks everything that `attention` takes. */
export function checkInputs(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions): AttentionShape {
  const shape = checkQueryAndKey('attention', q, k);
  if (v.dtype !== k.dtype || v.shape.length !== 4 || v.shape.some((size, axis) => size !== k.shape[axis])) {
    throw new ShapeError('attention', `v ${v.dtype}[${v.shape}] is not like k ${k.dtype}[${k.shape}].`);
  }
  checkLength('attention: keyLength', options.keyLength, shape.keys, shape.batches);
  checkLength('attention: queryLength', options.queryLength, shape.queries, shape.batches);
  if (options.slidingWindow !== undefined)
    checkInteger('attention: slidingWindow', options.slidingWindow, 1, 2 ** 31 - 1);
  if (options.queryOffset !== undefined) {
    checkInteger('attention: queryOffset', options.queryOffset, -(2 ** 30), 2 ** 30);
  }
  if (options.scale !== undefined && !Number.isFinite(options.scale)) {
    throw new ArgumentError('attention: scale', options.scale, 'a finite number');
  }
  if (options.tokens) checkTokenList(options.tokens, shape);
  return shape;
}

/** A length: a number up to `bound`, or u32 [B] on the device. */
export function checkLength(name: string, length: number | Tensor | undefined, bound: number, batches: number): void {
  if (length === undefined) return;
  if (typeof length === 'number') checkInteger(name, length, 0, bound);
  else checkDeviceNumbers(name, length, [batches]);
}

export function checkInteger(name: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new ArgumentError(name, value, `an integer in [${least}, ${most}]`);
  }
}

/** Heads that a grouping has. */
export function groupedHeads(per: HeadGrouping, shape: AttentionShape): number {
  return per === 'kvHead' ? shape.kvHeads : shape.heads;
}

function checkTokenList(tokens: TokenList, shape: AttentionShape): void {
  if (tokens.per !== 'queryHead' && tokens.per !== 'kvHead') {
    throw new ArgumentError('attention: tokens.per', tokens.per, "'queryHead', 'kvHead'");
  }
  const heads = groupedHeads(tokens.per, shape);
  const length = tokens.indices.shape[2] ?? 0;
  checkDeviceNumbers('attention: tokens.indices', tokens.indices, [shape.batches, heads, length]);
  if (tokens.counts instanceof Tensor) {
    checkDeviceNumbers('attention: tokens.counts', tokens.counts, [shape.batches, heads]);
  } else if (tokens.counts !== undefined) checkInteger('attention: tokens.counts', tokens.counts, 0, length);
}

function checkDeviceNumbers(name: string, tensor: Tensor, shape: readonly number[]): void {
  if (tensor.dtype !== 'u32') throw new ArgumentError(`dtype of ${name}`, tensor.dtype, 'u32');
  if (tensor.shape.length !== shape.length || tensor.shape.some((size, axis) => size !== shape[axis])) {
    throw new ShapeError(name, `is [${tensor.shape}]; it takes [${shape}].`);
  }
}

import { ArgumentError, ShapeError } from '../errors.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { BlockList, HeadGrouping, TokenList } from './lists.ts';
import type { MaskSources } from './mask-sources.ts';
import { type AttentionOrder, orderedLengths } from './order.ts';
import type { KeyRows } from './paged/paged-rows.ts';
import type { AttentionOptions, WhereToLook } from './types.ts';

/** The sizes of an attention call. */
export interface AttentionShape {
  readonly batches: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly queries: number;
  /** Rows of each head; in ragged storage, most rows of a head. */
  readonly keys: number;
  readonly headSize: number;
}

/** Shapes and dtypes of q [B, H, N, D] and k [B, Hkv, M, D]. */
function checkQueryAndKey(operation: string, q: Tensor, k: KeyRows): AttentionShape {
  checkRows(operation, 'q', q, 4);
  checkRows(operation, 'k', k, 4);
  const [batches, heads, queries, headSize] = q.shape as [number, number, number, number];
  const [keyBatches, kvHeads, keys, keySize] = k.shape as [number, number, number, number];
  if (keyBatches !== batches || keySize !== headSize || kvHeads === 0 || heads % kvHeads !== 0) {
    throw new ShapeError(
      operation,
      `q [${q.shape}] and k [${k.shape}] do not fit: [B, H, N, D] and [B, Hkv, M, D] with H a multiple of Hkv.`,
    );
  }
  checkHeadSize(operation, headSize);
  return { batches, heads, kvHeads, queries, keys, headSize };
}

/** Shapes of q [B, H, N, D], k [rows, D] and `keyStarts` [B, Hkv]: all heads' rows in one. */
function checkRagged(
  operation: string,
  q: Tensor,
  k: KeyRows,
  keyStarts: Tensor,
  options: WhereToLook,
): AttentionShape {
  checkRows(operation, 'q', q, 4);
  checkRows(operation, 'k', k, 2);
  const [batches, heads, queries, headSize] = q.shape as [number, number, number, number];
  const [rows, keySize] = k.shape as [number, number];
  const kvHeads = keyStarts.shape[1] ?? 0;
  checkDeviceNumbers(`${operation}: keyStarts`, keyStarts, [batches, kvHeads]);
  if (keySize !== headSize || kvHeads === 0 || heads % kvHeads !== 0) {
    throw new ShapeError(
      operation,
      `q [${q.shape}], k [${k.shape}] and keyStarts [${keyStarts.shape}] do not fit: [B, H, N, D], [rows, D] and [B, Hkv] with H a multiple of Hkv.`,
    );
  }
  checkHeadSize(operation, headSize);
  if (!(options.keyLength instanceof Tensor) || options.keyLength.rank !== 2) {
    const given =
      options.keyLength instanceof Tensor ? `a tensor [${options.keyLength.shape}]` : String(options.keyLength);
    throw new ArgumentError(`${operation}: keyLength with keyStarts`, given, 'a tensor u32 [B, Hkv]');
  }
  return { batches, heads, kvHeads, queries, keys: rows, headSize };
}

/** Checks everything that `attention` takes. */
export function checkInputs(q: Tensor, k: KeyRows, v: KeyRows, options: AttentionOptions): AttentionShape {
  const shape = checkWhereToLook('attention', q, k, options, options.order);
  if (v.dtype !== k.dtype || v.rank !== k.rank || v.shape.some((size, axis) => size !== k.shape[axis])) {
    throw new ShapeError('attention', `v ${v.dtype}[${v.shape}] is not like k ${k.dtype}[${k.shape}].`);
  }
  if (options.order) checkOrder(k, options);
  return shape;
}

/** Options that count rows, or that have no row of their own where several positions share one. */
const unordered = ['keyPositions', 'keyStarts', 'keyMultipliers', 'normalizer', 'givenProbabilities'] as const;

/** @throws ArgumentError for what a call with an order does not take */
function checkOrder(k: KeyRows, options: AttentionOptions): void {
  const refused = unordered.find((name) => options[name] !== undefined);
  if (refused) throw new ArgumentError(`attention: order with ${refused}`, 'both', 'one of them');
  if (k.dtype === 'paged') throw new ArgumentError('attention: order with keys in pages', 'both', 'keys in a tensor');
}

/**
 * Checks queries, keys and the options that say where to look, but for lists (see {@link checkLists}), and the scale. With an order, the shape is
 * that of the positions.
 */
export function checkWhereToLook(
  operation: string,
  q: Tensor,
  k: KeyRows,
  options: WhereToLook,
  order?: AttentionOrder,
): AttentionShape {
  if (!order && Reflect.get(options, 'order') !== undefined) {
    throw new ArgumentError(
      `${operation}: order`,
      'given',
      'tensors in the order of positions: `tokenPermute` makes them',
    );
  }
  const { keyStarts, keyLength, keyPositions, queryOffset } = options;
  const rows = keyStarts ? checkRagged(operation, q, k, keyStarts, options) : checkQueryAndKey(operation, q, k);
  const shape = order ? { ...rows, ...orderedLengths(operation, order, rows) } : rows;
  const { batches, kvHeads, keys } = shape;
  if (keyLength instanceof Tensor && keyLength.rank === 2) {
    checkDeviceNumbers(`${operation}: keyLength`, keyLength, [batches, kvHeads]);
  } else checkLength(`${operation}: keyLength`, keyLength, keys, batches);
  if (options.keyBound !== undefined) {
    checkInteger(`${operation}: keyBound`, options.keyBound, 0, keys);
    if (!(keyLength instanceof Tensor)) {
      throw new ArgumentError(`${operation}: keyBound`, options.keyBound, 'only with a keyLength on the device');
    }
  }
  if (keyPositions) {
    checkDeviceNumbers(`${operation}: keyPositions`, keyPositions, keyStarts ? [keys] : [batches, kvHeads, keys]);
    if (queryOffset === undefined && (options.causal || options.slidingWindow !== undefined || options.mask)) {
      throw new ArgumentError(
        `${operation}: queryOffset`,
        undefined,
        'the position of the first query, which keyPositions with causal, slidingWindow or a mask need',
      );
    }
  }
  checkLength(`${operation}: queryLength`, options.queryLength, shape.queries, batches);
  if (options.slidingWindow !== undefined)
    checkInteger(`${operation}: slidingWindow`, options.slidingWindow, 1, 2 ** 31 - 1);
  if (queryOffset instanceof Tensor) checkDeviceNumbers(`${operation}: queryOffset`, queryOffset, [batches]);
  else if (queryOffset !== undefined) checkInteger(`${operation}: queryOffset`, queryOffset, -(2 ** 30), 2 ** 30);
  if (options.scale !== undefined && !Number.isFinite(options.scale)) {
    throw new ArgumentError(`${operation}: scale`, options.scale, 'a finite number');
  }
  return shape;
}

function checkRows(operation: string, name: string, tensor: KeyRows, rank: number): void {
  if (tensor.rank !== rank) throw new ShapeError(operation, `${name} is [${tensor.shape}]; it takes ${rank} axes.`);
  if (tensor.dtype !== 'f32' && tensor.dtype !== 'f16' && tensor.dtype !== 'paged') {
    throw new ArgumentError(`${operation}: dtype of ${name}`, tensor.dtype, 'f32, f16');
  }
}

function checkHeadSize(operation: string, headSize: number): void {
  if (headSize < 1 || headSize > 256) throw new ArgumentError(`${operation}: head size`, headSize, '1 to 256');
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
function groupedHeads(per: HeadGrouping, shape: AttentionShape): number {
  return per === 'kvHead' ? shape.kvHeads : shape.heads;
}

/** Checks the lists that a call takes its keys from. */
export function checkLists(operation: string, sources: MaskSources, shape: AttentionShape): void {
  const { tokens, blocks } = sources;
  if (tokens) checkList(`${operation}: tokens`, tokens.list, shape);
  if (!blocks) return;
  checkList(`${operation}: blocks`, blocks.list, shape);
  const { indices, keyBlock, full } = blocks.list;
  checkInteger(`${operation}: blocks.keyBlock`, keyBlock, 1, 2 ** 20);
  if (full instanceof Tensor) checkDeviceNumbers(`${operation}: blocks.full`, full, indices.shape.slice(0, -1));
  else if (full !== undefined) checkInteger(`${operation}: blocks.full`, full, 0, indices.shape.at(-1) as number);
}

function checkList(name: string, list: TokenList | BlockList, shape: AttentionShape): void {
  const { indices, counts, per, queryBlock } = list;
  if (per !== 'queryHead' && per !== 'kvHead') {
    throw new ArgumentError(`${name}.per`, per, "'queryHead', 'kvHead'");
  }
  if (queryBlock !== undefined) checkInteger(`${name}.queryBlock`, queryBlock, 1, 2 ** 30);
  const heads = indices.shape[1] === 1 ? 1 : groupedHeads(per, shape);
  const blocks = queryBlock === undefined ? [] : [Math.ceil(shape.queries / queryBlock)];
  const rows = [shape.batches, heads, ...blocks];
  const length = indices.shape[rows.length] ?? 0;
  checkDeviceNumbers(`${name}.indices`, indices, [...rows, length]);
  if (counts instanceof Tensor) checkDeviceNumbers(`${name}.counts`, counts, rows);
  else if (counts !== undefined) checkInteger(`${name}.counts`, counts, 0, length);
}

/** A tensor u32 of the given shape. */
export function checkDeviceNumbers(name: string, tensor: Tensor, shape: readonly number[]): void {
  if (tensor.dtype !== 'u32') throw new ArgumentError(`dtype of ${name}`, tensor.dtype, 'u32');
  if (tensor.shape.length !== shape.length || tensor.shape.some((size, axis) => size !== shape[axis])) {
    throw new ShapeError(name, `is [${tensor.shape}]; it takes [${shape}].`);
  }
}

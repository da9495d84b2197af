import { ArgumentError, ShapeError } from '../errors.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { CallParts } from './call-parts.ts';
import type { PositionVariant } from './positions.ts';
import { sideLoad } from './side-inputs.ts';

/**
 * Which rows the positions of a call stand for, where tensors are in another order: attention reads and writes its rows where they are, and nothing is
 * copied. Lists, masks, lengths and score modifiers count positions; q, k, v and the results keep the order of their rows.
 * `tokenRows` makes the tables of a grid whose tokens stand tile by tile.
 */
export interface AttentionOrder {
  /**
   * u32 [N']: the row of q, and of the results, that each query position stands for. Every row once; a position whose number is N or more is padding,
   * and nothing is written for it. Default: position = row.
   */
  readonly queries?: Tensor;
  /** u32 [M']: the row of k and v of each key position, below M. Padding repeats a row, and a list or a mask hides it. Default: position = row. */
  readonly keys?: Tensor;
}

/** What an order adds to a variant. */
export type OrderVariant = Pick<PositionVariant, 'queryRows' | 'keyRows'>;

/** Positions of queries and of keys. @throws ArgumentError, ShapeError for what is no table */
export function orderedLengths(
  operation: string,
  order: AttentionOrder,
  rows: { readonly queries: number; readonly keys: number },
): { readonly queries: number; readonly keys: number } {
  const lengthOf = (name: 'queries' | 'keys'): number => {
    const table = order[name];
    if (!table) return rows[name];
    if (table.dtype !== 'u32') throw new ArgumentError(`dtype of ${operation}: order.${name}`, table.dtype, 'u32');
    if (table.rank !== 1)
      throw new ShapeError(`${operation}: order.${name}`, `is [${table.shape}]; it takes one axis.`);
    return table.size;
  };
  return { queries: lengthOf('queries'), keys: lengthOf('keys') };
}

/** Adds the tables to the inputs of a call over `queries` rows of q. */
export function orderInputs(order: AttentionOrder | undefined, queries: number, parts: CallParts): OrderVariant {
  if (order?.keys) parts.input('key_rows', order.keys);
  if (order?.queries) {
    parts.input('query_rows', order.queries);
    parts.number('stored_queries', 'u32', queries);
  }
  return { queryRows: order?.queries !== undefined, keyRows: order?.keys !== undefined };
}

/** Row of q that a query is loaded from; of padding, the last one. */
export function queryRow(variant: PositionVariant, query: string): string {
  return variant.queryRows ? `min(${sideLoad(variant, 'query_rows', query)}, params.stored_queries - 1u)` : query;
}

/** Stands for the place of a row that is not written. */
const nowhere = '0xffffffffu';

/** Row of the results that belongs to a query, and how many there are. */
export interface ResultRow {
  readonly row: string;
  readonly rows: string;
  /** `place`, an index into the results, or {@link nowhere} for padding. */
  readonly orNowhere: (place: string) => string;
}

export function resultRow(variant: PositionVariant, query: string): ResultRow {
  if (!variant.queryRows) return { row: query, rows: 'params.queries', orNowhere: (place) => place };
  const row = sideLoad(variant, 'query_rows', query);
  return {
    row: queryRow(variant, query),
    rows: 'params.stored_queries',
    orNowhere: (place) => `select(${nowhere}, ${place}, ${row} < params.stored_queries)`,
  };
}

/** Whether a row whose place in the output is `place` is written. */
export function isWritten(variant: PositionVariant, exists: string, place: string): string {
  return variant.queryRows ? `${exists} && ${place} != ${nowhere}` : exists;
}

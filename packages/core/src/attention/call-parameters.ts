import type { ParameterList } from '../kernels/kernel.ts';
import type { AttentionShape } from './check-inputs.ts';
import type { TokenList } from './lists.ts';
import type { CallBounds } from './plan-call.ts';
import type { WhereToLook } from './types.ts';
import { listEntries, listPlaces } from './where-to-look.ts';

/** Scalars that every kernel over the queries and keys of a call takes: sizes, bounds and the mask's numbers. */
export const callParameters: ParameterList = [
  ['heads', 'u32'],
  ['heads_per_kv', 'u32'],
  ['queries', 'u32'],
  ['query_bound', 'u32'],
  ['keys', 'u32'],
  ['key_capacity', 'u32'],
  ['quads', 'u32'],
  ['scale', 'f32'],
  ['window', 'i32'],
  ['query_offset', 'i32'],
  ['query_offset_given', 'u32'],
];

/** Of the {@link callParameters}; keys are those that may be valid, `key_capacity` those that are stored. */
export function callValues(
  { heads, kvHeads, queries, keys, headSize }: AttentionShape,
  { queryOffset, slidingWindow = 0, scale = 1 / Math.sqrt(headSize) }: WhereToLook,
  { keyBound, queryBound }: CallBounds,
): number[] {
  const offset = typeof queryOffset === 'number' ? [queryOffset, 1] : [0, 0];
  const quads = Math.ceil(headSize / 4);
  return [heads, heads / kvHeads, queries, queryBound, keyBound, keys, quads, scale, slidingWindow, ...offset];
}

/** Scalars of a strided input, in the order of `placeOf`. */
export function placeParameters(name: string): ParameterList {
  return (['start', 'batch', 'head', 'row'] as const).map((part) => [`${name}_${part}`, 'u32']);
}

/** Scalars of a token list. */
export const listParameters: ParameterList = [
  ['list_length', 'u32'],
  ['list_count', 'u32'],
  ['list_heads', 'u32'],
  ['list_share', 'u32'],
];

/** Of the {@link listParameters}; kernels without a list do not read them. */
export function listValues(list: TokenList | undefined, shape: AttentionShape): number[] {
  if (!list) return [0, 0, 1, 1];
  const { length, count } = listEntries(list);
  const { heads, share } = listPlaces(list, shape);
  return [length, count, heads, share];
}

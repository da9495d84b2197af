import { ShapeError } from '../errors.ts';
import { sort } from '../ops/sort.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { CallParts } from './call-parts.ts';
import { checkInteger } from './check-inputs.ts';
import type { PositionVariant } from './positions.ts';
import type { SideInputVariant } from './side-inputs.ts';

/** Most key sets of a call. */
export const mostKeySets = 8;

/** Disjoint sets of keys, such as image, sinks, text and window; {@link keySets} makes it. */
export interface KeySets {
  readonly count: number;
  /** u32 [B, M] or [B, Hkv, M]: set of the key in each stored row. */
  readonly ids: Tensor;
  /** As `ids`: the ids in ascending order, and the rows that hold them, ascending within a set. */
  readonly sortedIds: Tensor;
  readonly order: Tensor;
}

/**
 * Sorts keys into sets once, for as many calls as use them. Keys with an id of `count` or more belong to no set.
 *
 * @param ids u32 [B, M] or [B, Hkv, M], M the rows that attention's keys have.
 * @param count Number of sets, at most 8.
 * @throws ShapeError, ArgumentError
 */
export function keySets(ids: Tensor, count: number): KeySets {
  checkInteger('keySets: count', count, 1, mostKeySets);
  if (ids.dtype !== 'u32' || (ids.rank !== 2 && ids.rank !== 3)) {
    throw new ShapeError('keySets', `ids ${ids.dtype}[${ids.shape}] is not u32 [B, M] or [B, Hkv, M].`);
  }
  const { values, indices } = sort(ids);
  return { count, ids: ids.alias(), sortedIds: values, order: indices };
}

type Where = Omit<PositionVariant, keyof SideInputVariant>;

/**
 * Where a call with key sets looks: for part s of its result, at the rows of set s. Over all rows, these are read from the
 * sorted order; over lists, entries are compared.
 */
export function keySetInputs(sets: KeySets, where: Where, parts: CallParts): Where {
  const { ids, sortedIds, order } = sets;
  parts.number('sets_keys', 'u32', ids.shape.at(-1) as number);
  const keySetsPerHead = ids.rank === 3;
  if (where.list || where.blocks) {
    parts.input('set_ids', ids);
    return { ...where, keySets: 'compared', keySetsPerHead };
  }
  parts.input('set_ids', sortedIds);
  parts.sides.push({ name: 'list', type: 'u32', tensor: order });
  return {
    ...where,
    keySets: 'sorted',
    keySetsPerHead,
    list: true,
    range: false,
    listSees: where.rangeSees,
    rangeSees: '',
  };
}

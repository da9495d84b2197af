import { ArgumentError } from '../errors.ts';
import type { BlockList, TokenList } from './lists.ts';
import type { Mask } from './mask.ts';

/** A list, and which of its keys count: those that the predicate lets see. Absent: all. */
export interface ListSource<List> {
  readonly list: List;
  readonly where?: Mask | undefined;
}

/**
 * A mask as the tile loop takes it: the union of up to three sources of keys, each with a predicate that holds no list.
 * `range` goes over all rows; `true` is the predicate that lets all see.
 */
export interface MaskSources {
  readonly range?: Mask | true | undefined;
  readonly tokens?: ListSource<TokenList> | undefined;
  readonly blocks?: ListSource<BlockList> | undefined;
}

/**
 * Brings a mask into the form of the tile loop.
 * @throws ArgumentError where that is impossible: a list inside `not`, intersections of two lists, unions of two lists of a kind.
 */
export function maskSources(mask: Mask): MaskSources {
  switch (mask.kind) {
    case 'tokens':
      return { tokens: { list: mask.list } };
    case 'blocks':
      return { blocks: { list: mask.list } };
    case 'anyOf':
      return mask.parts.map(maskSources).reduce(union, {});
    case 'allOf':
      return mask.parts.map(maskSources).reduce(intersection, { range: true });
    case 'not': {
      const inner = maskSources(mask.part);
      if (inner.tokens || inner.blocks) {
        throw new ArgumentError('attention: mask', 'a list inside not', 'lists outside of not');
      }
      return { range: mask };
    }
    default:
      return { range: mask };
  }
}

type Predicate = Mask | true | undefined;

function either(a: Predicate, b: Predicate): Predicate {
  if (a === undefined || b === undefined) return a ?? b;
  return a === true || b === true ? true : { kind: 'anyOf', parts: [a, b] };
}

function both(a: Predicate, b: Predicate): Predicate {
  if (a === undefined || b === undefined) return undefined;
  if (a === true || b === true) return a === true ? b : a;
  return { kind: 'allOf', parts: [a, b] };
}

function union(a: MaskSources, b: MaskSources): MaskSources {
  return {
    range: either(a.range, b.range),
    tokens: unionOfLists(a.tokens, b.tokens),
    blocks: unionOfLists(a.blocks, b.blocks),
  };
}

function unionOfLists<List>(
  a: ListSource<List> | undefined,
  b: ListSource<List> | undefined,
): ListSource<List> | undefined {
  if (!a || !b) return a ?? b;
  if (a.list !== b.list) {
    throw new ArgumentError('attention: mask', 'a union of two lists of a kind', 'one token list and one block list');
  }
  const where = either(a.where ?? true, b.where ?? true);
  return { list: a.list, where: where === true ? undefined : where };
}

function intersection(a: MaskSources, b: MaskSources): MaskSources {
  const [lists, predicate] = a.tokens || a.blocks ? [a, b] : [b, a];
  if (predicate.tokens || predicate.blocks) {
    throw new ArgumentError('attention: mask', 'an intersection of two lists', 'one list, and predicates');
  }
  const narrowed = <List>(source: ListSource<List> | undefined): ListSource<List> | undefined => {
    if (!source || predicate.range === undefined) return undefined;
    const where = both(source.where ?? true, predicate.range);
    return { list: source.list, where: where === true ? undefined : where };
  };
  return {
    range: both(lists.range, predicate.range),
    tokens: narrowed(lists.tokens),
    blocks: narrowed(lists.blocks),
  };
}

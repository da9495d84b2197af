import { ArgumentError } from '../errors.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { CallParts } from './call-parts.ts';
import { checkDeviceNumbers, checkInteger } from './check-inputs.ts';
import { customExpression } from './custom-text.ts';
import { blockedText, neighbourhoodText } from './grid-text.ts';
import type { Mask, SlidingWindowMask, TokenRelationMask } from './mask.ts';

/** A predicate as WGSL. */
export interface PredicateText {
  /** bool, in `batch`, `head`, `query` (u32), `query_position` and `key_position` (i32). */
  readonly sees: string;
  /**
   * Bounds [begin, end) of the key positions that queries at `first_query_position` to `last_query_position` can see, i32;
   * absent where nothing is known cheaply.
   */
  readonly begin?: string | undefined;
  readonly end?: string | undefined;
}

/** Sizes that tensors of predicates are checked against. */
export interface MaskShape {
  readonly batches: number;
  readonly queries: number;
}

/** Compiles a predicate, a mask without lists. `true` lets all see. */
export function predicateText(mask: Mask | true, shape: MaskShape, parts: CallParts): PredicateText {
  if (mask === true) return { sees: 'true' };
  switch (mask.kind) {
    case 'causal':
      return { sees: 'key_position <= query_position', end: 'last_query_position + 1' };
    case 'slidingWindow':
      return slidingWindowText(mask, parts.id('window'), parts);
    case 'strided': {
      const { stride, offset = 0 } = mask;
      checkInteger('attention: mask stride', stride, 1, 2 ** 30);
      checkInteger('attention: mask offset', offset, 0, stride - 1);
      const id = parts.id('strided');
      const [step, first] = [parts.number(`${id}_stride`, 'i32', stride), parts.number(`${id}_offset`, 'i32', offset)];
      return { sees: `key_position % ${step} == ${first}` };
    }
    case 'prefix': {
      const id = parts.id('prefix');
      const { length } = mask;
      if (length instanceof Tensor) checkDeviceNumbers('attention: mask prefix length', length, [shape.batches]);
      else checkInteger('attention: mask prefix length', length, 0, 2 ** 30);
      const end = length instanceof Tensor ? `i32(${parts.input(id, length)}(batch))` : parts.number(id, 'i32', length);
      return { sees: `key_position < ${end}`, begin: '0', end };
    }
    case 'keyRange': {
      checkInteger('attention: mask start', mask.start, 0, 2 ** 30);
      checkInteger('attention: mask end', mask.end, mask.start, 2 ** 30);
      const id = parts.id('range');
      const begin = parts.number(`${id}_start`, 'i32', mask.start);
      const end = parts.number(`${id}_end`, 'i32', mask.end);
      return { sees: `(key_position >= ${begin} && key_position < ${end})`, begin, end };
    }
    case 'blocked':
      return blockedText(mask, parts.id('blocked'), parts);
    case 'neighbourhood':
      return neighbourhoodText(mask, parts.id('neighbourhood'), parts);
    case 'tokenRelation':
      return relationText(mask, shape, parts);
    case 'custom':
      return { sees: `(${customExpression(mask, parts.id('custom'), parts)})` };
    case 'not':
      return { sees: `!(${predicateText(mask.part, shape, parts).sees})` };
    case 'anyOf':
    case 'allOf':
      return composedText(
        mask.kind,
        mask.parts.map((part) => predicateText(part, shape, parts)),
      );
    default:
      throw new ArgumentError('attention: mask kind', mask.kind, 'a predicate');
  }
}

function slidingWindowText(mask: SlidingWindowMask, id: string, parts: CallParts): PredicateText {
  const { before, after, dilation = 1 } = mask;
  checkInteger('attention: mask before', before, 0, 2 ** 30);
  checkInteger('attention: mask after', after, 0, 2 ** 30);
  checkInteger('attention: mask dilation', dilation, 1, 2 ** 30);
  const back = parts.number(`${id}_before`, 'i32', before);
  const ahead = parts.number(`${id}_after`, 'i32', after);
  const inside = `(key_position >= query_position - ${back} && key_position <= query_position + ${ahead})`;
  const begin = `first_query_position - ${back}`;
  const end = `last_query_position + ${ahead} + 1`;
  if (dilation === 1) return { sees: inside, begin, end };
  const step = parts.number(`${id}_dilation`, 'i32', dilation);
  return { sees: `(${inside} && (key_position - query_position) % ${step} == 0)`, begin, end };
}

const relations = { same: '==', different: '!=', earlier: '<', notLater: '<=' } as const;

function relationText(mask: TokenRelationMask<Tensor>, shape: MaskShape, parts: CallParts): PredicateText {
  const { relation, queries, keys } = mask;
  const operator = relations[relation];
  if (!operator) {
    throw new ArgumentError('attention: mask relation', relation, Object.keys(relations).join(', '));
  }
  checkDeviceNumbers('attention: mask queries', queries, [shape.batches, shape.queries]);
  const length = keys.shape[1] ?? 0;
  checkDeviceNumbers('attention: mask keys', keys, [shape.batches, length]);
  const id = parts.id('relation');
  const key = `${parts.input(`${id}_keys`, keys)}(batch * ${parts.number(`${id}_length`, 'u32', length)} + u32(key_position))`;
  const query = `${parts.input(`${id}_queries`, queries)}(batch * params.queries + query)`;
  return { sees: `(${key} ${operator} ${query})` };
}

function composedText(kind: 'anyOf' | 'allOf', texts: readonly PredicateText[]): PredicateText {
  const any = kind === 'anyOf';
  if (texts.length === 0) return any ? { sees: 'false', begin: '0', end: '0' } : { sees: 'true' };
  const sees = `(${texts.map((text) => text.sees).join(any ? ' || ' : ' && ')})`;
  const bound = (values: readonly (string | undefined)[], name: 'min' | 'max') => {
    // A union is bounded only where every part is.
    if (any && values.includes(undefined)) return undefined;
    const known = values.filter((value) => value !== undefined);
    return known.length === 0 ? undefined : known.reduce((all, value) => `${name}(${all}, ${value})`);
  };
  return {
    sees,
    begin: bound(
      texts.map((text) => text.begin),
      any ? 'min' : 'max',
    ),
    end: bound(
      texts.map((text) => text.end),
      any ? 'max' : 'min',
    ),
  };
}

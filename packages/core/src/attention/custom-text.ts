import { ArgumentError } from '../errors.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { CallParts } from './call-parts.ts';

/** What a custom snippet may use, as WGSL. */
export interface CustomNames {
  /** u32, all of them. `head` is the query head. */
  readonly batch: string;
  readonly head: string;
  readonly query: string;
  /** i32. Positions in the sequence. */
  readonly queryPosition: string;
  readonly keyPosition: string;
  /** f32; of score modifiers only. */
  readonly score: string;
  /** A number given as `numbers`: f32. */
  readonly number: (name: string) => string;
  /** Element `index` (WGSL of type u32) of a tensor given as `inputs`: f32 or u32, as its dtype. Indices are not checked. */
  readonly input: (name: string, index: string) => string;
}

/**
 * A WGSL expression in names that the engine supplies. The text decides which kernel is compiled, so numbers that change
 * belong into `numbers`:
 *
 * ```ts
 * { kind: 'custom', numbers: { slope: 0.1 },
 *   wgsl: ({ score, queryPosition, keyPosition, number }) =>
 *     `${score} - ${number('slope')} * sqrt(f32(abs(${queryPosition} - ${keyPosition})))` }
 * ```
 */
export interface CustomText<Values = Tensor> {
  readonly wgsl: (names: CustomNames) => string;
  readonly numbers?: Readonly<Record<string, number>>;
  /** f32 or u32 tensors of any shape, read row-major. */
  readonly inputs?: Readonly<Record<string, Values>>;
}

/** Registers a snippet's inputs and numbers under `id`; returns its expression. */
export function customExpression(custom: CustomText, id: string, parts: CallParts): string {
  const { numbers = {}, inputs = {} } = custom;
  const entries = <T>(record: Readonly<Record<string, T>>, make: (name: string, value: T) => string) =>
    new Map(Object.entries(record).map(([name, value]) => [name, make(`${id}_${checkedName(name)}`, value)]));
  const given = entries(numbers, (name, value) => parts.number(name, 'f32', value));
  const loads = entries(inputs, (name, tensor) => parts.input(name, tensor));
  const find = (map: Map<string, string>, name: string) => {
    const found = map.get(name);
    if (found === undefined) throw new ArgumentError('custom wgsl: name', name, [...map.keys()].join(', ') || 'none');
    return found;
  };
  return custom.wgsl({
    batch: 'batch',
    head: 'head',
    query: 'query',
    queryPosition: 'query_position',
    keyPosition: 'key_position',
    score: 'score',
    number: (name) => find(given, name),
    input: (name, index) => `${find(loads, name)}(${index})`,
  });
}

function checkedName(name: string): string {
  if (!/^[a-z][a-z0-9_]*$/i.test(name)) throw new ArgumentError('custom wgsl: name', name, 'letters, digits and _');
  return name;
}

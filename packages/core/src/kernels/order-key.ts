import type { ParameterType } from './kernel.ts';
import { lowestScore } from './wgsl.ts';

/** Element types whose order GPU selection and sorting understand. */
export type OrderedDtype = 'f32' | 'i32' | 'u32';

/** Parameters that {@link orderKeyFunction} reads, so that one pipeline serves all three types. */
export const orderParameters = [
  ['zero_alias', 'u32'],
  ['order_flip', 'u32'],
  ['negative_flip', 'u32'],
] as const satisfies readonly (readonly [string, ParameterType])[];

/** Values of {@link orderParameters}; ascending order complements the keys. */
export function orderArguments(dtype: OrderedDtype, descending = true): readonly [number, number, number] {
  const flip = dtype === 'u32' ? 0 : 0x80000000;
  return [dtype === 'f32' ? 0x80000000 : 0, descending ? flip : ~flip >>> 0, dtype === 'f32' ? 0x7fffffff : 0];
}

const orderKey = (alias: string, flip: string, negative: string) => `
fn order_key(bits: u32) -> u32 {
  let canonical = select(bits, 0u, bits == ${alias});
  return canonical ^ ${flip} ^ select(0u, ${negative}, canonical >= 0x80000000u);
}`;

/**
 * Declares `order_key(bits: u32) -> u32`: the unsigned order of the keys is the numeric order of the elements whose bit
 * patterns they came from (reversed for ascending arguments). Negative zero and zero get the same key; subnormals and
 * infinities keep their place. Works on bits only, since WGSL may flush or ignore special floats. NaN has no place.
 */
export const orderKeyFunction = orderKey('params.zero_alias', 'params.order_flip', 'params.negative_flip');

/** {@link orderKeyFunction} for f32 and descending order, without parameters. */
export const floatOrderKeyFunction = orderKey('0x80000000u', '0x80000000u', '0x7fffffffu');

/** What pads rows with too few elements, as bits: the lowest score of f32, -2^31 or 0. */
export function lowestBits(dtype: OrderedDtype): number {
  if (dtype !== 'f32') return dtype === 'i32' ? 0x80000000 : 0;
  return new Uint32Array(Float32Array.of(lowestScore).buffer)[0] as number;
}

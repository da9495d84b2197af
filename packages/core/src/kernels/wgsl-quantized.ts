import type { QuantizedDtype } from '../tensor/dtype.ts';
import { hasSuperBlocks, quantWords, superScaleWords } from '../tensor/quantized.ts';

/**
 * WGSL of quantized blocks, whose layout in memory `tensor/quantized.ts` describes. Numbers equal GGUF's to the last bit: products of
 * scales and quants are exact in f32 (at most 24 bits) or rounded once, and so is `quant * scale + minimum`, fused or not.
 */

/**
 * Expression (vec2f) of what block number `block` of 32 elements shares: its scale in x and, where it has one, its minimum in y; for q6_k the scales of its
 * two halves.
 */
export function blockFactors(dtype: QuantizedDtype, scales: string, block: string): string {
  if (!hasSuperBlocks(dtype)) return `unpack2x16float(${scales}[${block}])`;
  const start = `((${block}) >> 3u) * ${superScaleWords}u`;
  const heads = `unpack2x16float(${scales}[${start}])`;
  const pair = `${scales}[${start} + 1u + (((${block}) & 7u) >> 1u)]`;
  const shift = `((${block}) & 1u) * 16u`;
  if (dtype === 'q6_k') {
    const scale = (offset: number) => `f32(extractBits(bitcast<i32>(${pair}), ${shift} + ${offset}u, 8u))`;
    return `(${heads}.x * vec2f(${scale(0)}, ${scale(8)}))`;
  }
  const byte = (offset: number) => `f32(extractBits(${pair}, ${shift} + ${offset}u, 8u))`;
  return `(${heads} * vec2f(${byte(0)}, -${byte(8)}))`;
}

/**
 * Expression of a number from its quant.
 * @param quant i32; for q8_0 with its sign, else as it is stored.
 * @param factors Name of what {@link blockFactors} gave.
 * @param upper Whether the element stands in the second half of its block: a constant, or a WGSL condition.
 */
export function quantValue(dtype: QuantizedDtype, quant: string, factors: string, upper: boolean | string): string {
  switch (dtype) {
    case 'q4_0':
      return `(f32(${quant} - 8) * ${factors}.x)`;
    case 'q5_0':
      return `(f32(${quant} - 16) * ${factors}.x)`;
    case 'q8_0':
      return `(f32(${quant}) * ${factors}.x)`;
    case 'q6_k': {
      const scale =
        typeof upper === 'string' ? `select(${factors}.x, ${factors}.y, ${upper})` : `${factors}.${upper ? 'y' : 'x'}`;
      return `(f32(${quant} - 32) * ${scale})`;
    }
    default:
      return `fma(f32(${quant}), ${factors}.x, ${factors}.y)`;
  }
}

/**
 * Expression of one element of a quantized piece, whose quants and scales are bound as `array<u32>`. `block` and `element` (in
 * [0, 32)) are expressions of type u32.
 */
export function quantizedElement(
  dtype: QuantizedDtype,
  quants: string,
  scales: string,
  block: string,
  element: string,
): string {
  const words = quantWords[dtype];
  const word = (index: string) => `${quants}[(${block}) * ${words}u + ${index}]`;
  const factors = blockFactors(dtype, scales, block);
  const upper = `(${element}) >= 16u`;
  if (dtype === 'q8_0') {
    const quant = `extractBits(bitcast<i32>(${word(`((${element}) >> 2u)`)}), ((${element}) & 3u) * 8u, 8u)`;
    return quantValue(dtype, quant, factors, upper);
  }
  const nibble = `extractBits(${word(`(((${element}) & 15u) >> 2u)`)}, ((${element}) & 3u) * 8u + ((${element}) >> 4u) * 4u, 4u)`;
  const high =
    words === 4
      ? ''
      : words === 5
        ? ` | (extractBits(${word('4u')}, ${element}, 1u) << 4u)`
        : ` | (extractBits(${word(`4u + ((${element}) >> 4u)`)}, ((${element}) & 15u) * 2u, 2u) << 4u)`;
  return quantValue(dtype, `i32(${nibble}${high})`, factors, upper);
}

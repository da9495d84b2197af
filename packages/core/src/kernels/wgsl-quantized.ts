import type { QuantizedDtype } from '../tensor/dtype.ts';

/**
 * WGSL expression for one element of a quantized piece (layout in `tensor/quantized.ts`), whose quants and scales are
 * bound as `array<u32>`. `block` and `element` (in [0, 32)) are expressions of type u32.
 */
export function quantizedElement(
  dtype: QuantizedDtype,
  quants: string,
  scales: string,
  block: string,
  element: string,
): string {
  const scale = `unpack2x16float(${scales}[${block}])`;
  if (dtype === 'q8_0') {
    const word = `${quants}[(${block}) * 8u + ((${element}) >> 2u)]`;
    return `(f32(extractBits(bitcast<i32>(${word}), ((${element}) & 3u) * 8u, 8u)) * ${scale}.x)`;
  }
  // Byte i holds element i in its low half and element i + 16 in its high half.
  const word = `${quants}[(${block}) * 4u + (((${element}) & 15u) >> 2u)]`;
  const nibble = `extractBits(${word}, ((${element}) & 3u) * 8u + ((${element}) >> 4u) * 4u, 4u)`;
  if (dtype === 'q4_0') return `((f32(${nibble}) - 8.0) * ${scale}.x)`;
  return `(f32(${nibble}) * ${scale}.x + ${scale}.y)`;
}

import { ArgumentError } from '../errors.ts';

/** Element types of plain tensors. `f16` and `bf16` take two bytes in GPU memory. */
export type PlainDtype = 'f32' | 'f16' | 'bf16' | 'i32' | 'u32';

/** Block-quantized weights in the sense of GGUF, of those types that kernels read. */
export type QuantizedDtype = 'q4_0' | 'q4_1' | 'q5_0' | 'q5_1' | 'q8_0' | 'q4_k' | 'q5_k' | 'q6_k';

export const quantizedDtypes: readonly QuantizedDtype[] = [
  'q4_0',
  'q4_1',
  'q5_0',
  'q5_1',
  'q8_0',
  'q4_k',
  'q5_k',
  'q6_k',
];

export type Dtype = PlainDtype | QuantizedDtype;

/** Host arrays that hold a tensor's elements: f16 and bf16 are read as f32. */
export type HostArray = Float32Array | Int32Array | Uint32Array;

/** Bytes per element of a plain dtype. */
export const bytesPerElement: Readonly<Record<PlainDtype, number>> = { f32: 4, f16: 2, bf16: 2, i32: 4, u32: 4 };

/** Whether a type is one of the block-quantized ones that kernels read. */
export function isQuantized(dtype: string): dtype is QuantizedDtype {
  return (quantizedDtypes as readonly string[]).includes(dtype);
}

/** Bytes that `elements` elements take in GPU memory, rounded up to whole 32-bit words. */
export function plainBytes(dtype: PlainDtype, elements: number): number {
  return Math.ceil((elements * bytesPerElement[dtype]) / 4) * 4;
}

const floatView = new Float32Array(1);
const wordView = new Uint32Array(floatView.buffer);

/** IEEE half-precision bits of a number, rounded to nearest even. */
export function floatToHalfBits(value: number): number {
  floatView[0] = value;
  return halfOfWord(wordView[0] as number);
}

/** The same from the bits of an f32. */
function halfOfWord(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude >= 0x38800000) {
    const rounded = magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1);
    return sign | (rounded >>> 13);
  }
  if (magnitude < 0x33000000) return sign;
  // Subnormal: the 24 bits of the fraction in units of 2^-24, rounded to nearest even.
  const shift = 126 - (magnitude >>> 23);
  const fraction = (magnitude & 0x7fffff) | 0x800000;
  const units = fraction >>> shift;
  const rest = fraction & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return sign | (rest > half || (rest === half && (units & 1) === 1) ? units + 1 : units);
}

/** Half-precision bits of many numbers, each rounded to nearest even, written into `out`. */
export function floatsToHalfBits(values: Float32Array, out: Uint16Array): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < words.length; i++) out[i] = halfOfWord(words[i] as number);
  return out;
}

/** The number that half-precision bits stand for. */
export function halfBitsToFloat(bits: number): number {
  const exponent = bits & 0x7c00;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return (bits & 0x8000 ? -fraction : fraction) * 2 ** -24;
  // All exponent bits (infinity, NaN) stay all exponent bits.
  const wide = exponent === 0x7c00 ? 0x7f800000 : (exponent << 13) + 0x38000000;
  wordView[0] = ((bits & 0x8000) << 16) | wide | (fraction << 13);
  return floatView[0] as number;
}

/** The numbers that many half-precision bits stand for, written into `out`. */
export function halfBitsToFloats(bits: Uint16Array, out: Float32Array): Float32Array {
  for (let i = 0; i < bits.length; i++) out[i] = halfBitsToFloat(bits[i] as number);
  return out;
}

/** bfloat16 bits of a number, rounded to nearest even. */
export function floatToBfloatBits(value: number): number {
  floatView[0] = value;
  const bits = wordView[0] as number;
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** The number that bfloat16 bits stand for. */
export function bfloatBitsToFloat(bits: number): number {
  wordView[0] = bits << 16;
  return floatView[0] as number;
}

/** The numbers that many bfloat16 bits stand for, written into `out`. */
export function bfloatBitsToFloats(bits: Uint16Array, out: Float32Array): Float32Array {
  const words = new Uint32Array(out.buffer, out.byteOffset, out.length);
  for (let i = 0; i < bits.length; i++) words[i] = (bits[i] as number) << 16;
  return out;
}

/** GPU bytes of host numbers in `dtype`. */
export function encodeElements(data: ArrayLike<number>, dtype: PlainDtype): Uint8Array<ArrayBuffer> {
  switch (dtype) {
    case 'f32':
      return new Uint8Array(Float32Array.from(data).buffer);
    case 'i32':
      return new Uint8Array(Int32Array.from(data).buffer);
    case 'u32':
      return new Uint8Array(Uint32Array.from(data).buffer);
    case 'f16':
    case 'bf16': {
      const convert = dtype === 'f16' ? floatToHalfBits : floatToBfloatBits;
      const out = new Uint16Array(Math.ceil(data.length / 2) * 2);
      for (let i = 0; i < data.length; i++) out[i] = convert(data[i] as number);
      return new Uint8Array(out.buffer);
    }
    default:
      throw new ArgumentError('dtype', dtype, 'f32, f16, bf16, i32, u32');
  }
}

/** Host numbers of GPU bytes in `dtype`; `count` elements. */
export function decodeElements(bytes: ArrayBuffer, dtype: PlainDtype, count: number): HostArray {
  switch (dtype) {
    case 'f32':
      return new Float32Array(bytes, 0, count);
    case 'i32':
      return new Int32Array(bytes, 0, count);
    case 'u32':
      return new Uint32Array(bytes, 0, count);
    default: {
      const convert = dtype === 'f16' ? halfBitsToFloat : bfloatBitsToFloat;
      const halves = new Uint16Array(bytes, 0, count);
      return Float32Array.from(halves, convert);
    }
  }
}

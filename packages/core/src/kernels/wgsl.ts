/** What WGSL cannot do, or does differently from C, is dealt with in this file. */
import type { Capabilities } from '../device/capabilities.ts';
import type { PlainDtype } from '../tensor/dtype.ts';

/**
 * Lowest score, used where mathematics says -infinity. WGSL may assume that infinities do not occur, so masks and
 * empty maxima use this finite sentinel; the host reads values at or below half of it as -Infinity.
 */
export const lowestScore = -1e38;

/** The sentinel as WGSL text. */
export const LOWEST = 'f32(-1e38)';

/** How elements of a tensor stand in a storage buffer, and how one is read as f32 (or its own integer type). */
export interface ElementAccess {
  /** WGSL type of the binding. */
  readonly type: string;
  /** WGSL type of a loaded element. */
  readonly valueType: 'f32' | 'i32' | 'u32';
  /** Expression that loads element `index` (an expression of type u32). */
  readonly load: (index: string) => string;
  /** Statement that stores `value` at `index`; undefined for packed types, where two invocations would share a word. */
  readonly store: ((index: string, value: string) => string) | undefined;
}

/** Access to a buffer called `name` that holds elements of `dtype`. */
export function elementAccess(name: string, dtype: PlainDtype, capabilities: Capabilities): ElementAccess {
  switch (dtype) {
    case 'f32':
    case 'i32':
    case 'u32':
      return {
        type: `array<${dtype}>`,
        valueType: dtype,
        load: (index) => `${name}[${index}]`,
        store: (index, value) => `${name}[${index}] = ${value};`,
      };
    case 'f16':
      if (capabilities.f16) {
        return {
          type: 'array<f16>',
          valueType: 'f32',
          load: (index) => `f32(${name}[${index}])`,
          store: (index, value) => `${name}[${index}] = f16(${value});`,
        };
      }
      return {
        type: 'array<u32>',
        valueType: 'f32',
        load: (index) => `unpack2x16float(${name}[(${index}) >> 1u])[(${index}) & 1u]`,
        store: undefined,
      };
    case 'bf16':
      return {
        type: 'array<u32>',
        valueType: 'f32',
        load: (index) =>
          `bitcast<f32>(select(${name}[(${index}) >> 1u] << 16u, ${name}[(${index}) >> 1u] & 0xffff0000u, ((${index}) & 1u) == 1u))`,
        store: undefined,
      };
  }
}

/**
 * The exponent's bits of each float format, which NaN and infinity set all of and no other number does. WGSL may assume
 * that neither exists, so they are found by bit pattern.
 */
export const exponentBits = { f32: 0x7f800000, f16: 0x7c00, bf16: 0x7f80 } as const;

/**
 * Declares `half_bits(f32) -> u32` and `bfloat_bits(f32) -> u32`: 16-bit floats rounded to nearest even, beyond the range
 * infinity, as on the host. WGSL leaves rounding and overflow of its own conversions to the implementation.
 */
export const narrowFunctions = `
fn half_bits(value: f32) -> u32 {
  let bits = bitcast<u32>(value);
  let sign = (bits >> 16u) & 0x8000u;
  let magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) { return sign | 0x7e00u; }
  if (magnitude >= 0x477ff000u) { return sign | 0x7c00u; }
  if (magnitude >= 0x38800000u) {
    return sign | ((magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13u) & 1u)) >> 13u);
  }
  // Subnormal: the fraction in units of 2^-24.
  let exponent = magnitude >> 23u;
  if (exponent < 102u) { return sign; }
  let fraction = (magnitude & 0x7fffffu) | 0x800000u;
  let shift = 126u - exponent;
  let half = 1u << (shift - 1u);
  let floor = fraction >> shift;
  return sign | ((fraction + half - 1u + (floor & 1u)) >> shift);
}
fn bfloat_bits(value: f32) -> u32 {
  let bits = bitcast<u32>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) { return (bits >> 16u) | 0x40u; }
  return ((bits + 0x7fffu + ((bits >> 16u) & 1u)) >> 16u) & 0xffffu;
}`;

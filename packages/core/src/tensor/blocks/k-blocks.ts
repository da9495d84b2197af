import type { BlockDecoder } from './block-type.ts';
import { halfAt } from './plain-blocks.ts';

/**
 * K-quants: super-blocks of 256 elements whose sub-blocks of 16 or 32 have small integer scales (and minimums), which one or two
 * half-precision numbers scale in turn.
 *
 * Sources: ggml's block structures (ggml-common.h) and the `gguf` Python package, whose values these equal to the last bit. Products of
 * scale, integer scale and quant are exact in f64 and rounded once by the store, as they are there.
 */

/** 16 bytes of scales (low half) and minimums (high half), 64 bytes of quants, then d and dmin. */
export const decodeQ2K: BlockDecoder = (bytes, at, out, to) => {
  const d = halfAt(bytes, at + 80);
  const dmin = halfAt(bytes, at + 82);
  for (let sub = 0; sub < 16; sub++) {
    const packed = bytes[at + sub] as number;
    const scale = d * (packed & 15);
    const minimum = dmin * (packed >> 4);
    // 32 bytes hold four planes of 32 elements, two bits each.
    const quants = at + 16 + (sub >> 3) * 32 + (sub & 1) * 16;
    const shift = sub & 6;
    for (let i = 0; i < 16; i++) {
      out[to + sub * 16 + i] = scale * (((bytes[quants + i] as number) >> shift) & 3) - minimum;
    }
  }
};

/** 32 bytes of third bits, 64 of the low two, 12 of scales with six bits each, then d. */
export const decodeQ3K: BlockDecoder = (bytes, at, out, to) => {
  const d = halfAt(bytes, at + 108);
  for (let sub = 0; sub < 16; sub++) {
    const scale = d * q3Scale(bytes, at, sub);
    for (let i = sub * 16; i < sub * 16 + 16; i++) out[to + i] = scale * q3Level(bytes, at, i);
  }
};

/** Scale, -32 to 31, of sub-block 0..15 of the Q3_K block at `at`. */
export function q3Scale(bytes: Uint8Array, at: number, sub: number): number {
  const low = ((bytes[at + 96 + (sub & 7)] as number) >> (sub < 8 ? 0 : 4)) & 15;
  const high = ((bytes[at + 104 + (sub & 3)] as number) >> ((sub >> 2) * 2)) & 3;
  return (low | (high << 4)) - 32;
}

/** Quant, -4 to 3, of element 0..255 of the Q3_K block at `at`. */
export function q3Level(bytes: Uint8Array, at: number, element: number): number {
  const low = ((bytes[at + 32 + (element >> 7) * 32 + (element & 31)] as number) >> ((element >> 4) & 6)) & 3;
  const third = ((bytes[at + (element & 31)] as number) >> (element >> 5)) & 1;
  // A set bit means that nothing is subtracted.
  return low - (third ? 0 : 4);
}

/** d, dmin, 12 bytes of scales and minimums with six bits each, then 128 bytes of quants. */
export const decodeQ4K: BlockDecoder = (bytes, at, out, to) => {
  const d = halfAt(bytes, at);
  const dmin = halfAt(bytes, at + 2);
  for (let sub = 0; sub < 8; sub++) {
    const scale = d * kScale(bytes, at + 4, sub);
    const minimum = dmin * kMinimum(bytes, at + 4, sub);
    const quants = at + 16 + (sub >> 1) * 32;
    const shift = (sub & 1) * 4;
    for (let i = 0; i < 32; i++) {
      out[to + sub * 32 + i] = scale * (((bytes[quants + i] as number) >> shift) & 15) - minimum;
    }
  }
};

/** As Q4_K, with 32 bytes of fifth bits in front of the quants. */
export const decodeQ5K: BlockDecoder = (bytes, at, out, to) => {
  const d = halfAt(bytes, at);
  const dmin = halfAt(bytes, at + 2);
  for (let sub = 0; sub < 8; sub++) {
    const scale = d * kScale(bytes, at + 4, sub);
    const minimum = dmin * kMinimum(bytes, at + 4, sub);
    const quants = at + 48 + (sub >> 1) * 32;
    const shift = (sub & 1) * 4;
    for (let i = 0; i < 32; i++) {
      const low = ((bytes[quants + i] as number) >> shift) & 15;
      const fifth = ((bytes[at + 16 + i] as number) >> sub) & 1;
      out[to + sub * 32 + i] = scale * (low | (fifth << 4)) - minimum;
    }
  }
};

/** 128 bytes of the low four bits, 64 of the high two, 16 signed scales, then d. */
export const decodeQ6K: BlockDecoder = (bytes, at, out, to) => {
  const d = halfAt(bytes, at + 208);
  for (let sub = 0; sub < 16; sub++) {
    const scale = d * (((bytes[at + 192 + sub] as number) << 24) >> 24);
    // Of 128 elements, 64 bytes hold the low bits: elements 0..63 in their low halves, 64..127 in their high ones.
    const lows = at + (sub >> 3) * 64 + (sub & 3) * 16;
    const lowShift = (sub & 4) === 0 ? 0 : 4;
    const highs = at + 128 + (sub >> 3) * 32 + (sub & 1) * 16;
    const highShift = sub & 6;
    for (let i = 0; i < 16; i++) {
      const low = ((bytes[lows + i] as number) >> lowShift) & 15;
      const high = ((bytes[highs + i] as number) >> highShift) & 3;
      out[to + sub * 16 + i] = scale * ((low | (high << 4)) - 32);
    }
  }
};

/** Scale of sub-block 0..7 among 12 packed bytes: six bits, for the last four split over two bytes. */
export function kScale(bytes: Uint8Array, at: number, sub: number): number {
  const first = bytes[at + (sub & 3)] as number;
  if (sub < 4) return first & 63;
  return ((bytes[at + 8 + (sub & 3)] as number) & 15) | ((first >> 2) & 48);
}

/** Minimum of sub-block 0..7 among the same bytes. */
export function kMinimum(bytes: Uint8Array, at: number, sub: number): number {
  const second = bytes[at + 4 + (sub & 3)] as number;
  if (sub < 4) return second & 63;
  return ((bytes[at + 8 + (sub & 3)] as number) >> 4) | ((second >> 2) & 48);
}

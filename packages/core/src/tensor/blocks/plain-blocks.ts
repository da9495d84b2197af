import { halfBitsToFloat } from '../dtype.ts';
import type { BlockDecoder } from './block-type.ts';

/**
 * Blocks of 32 elements with one scale, and some with a minimum, in half precision.
 *
 * Sources: ggml's block structures (ggml-common.h) and the `gguf` Python package, whose values these equal to the last bit. Where
 * a sum is rounded, it is computed in f64 and rounded to f32 by the store: f64 has enough bits that both roundings make one.
 */
export const decodeQ4_0: BlockDecoder = (bytes, at, out, to) => {
  const scale = halfAt(bytes, at);
  for (let i = 0; i < 16; i++) {
    const byte = bytes[at + 2 + i] as number;
    out[to + i] = scale * ((byte & 15) - 8);
    out[to + 16 + i] = scale * ((byte >> 4) - 8);
  }
};

export const decodeQ4_1: BlockDecoder = (bytes, at, out, to) => {
  const scale = halfAt(bytes, at);
  const minimum = halfAt(bytes, at + 2);
  for (let i = 0; i < 16; i++) {
    const byte = bytes[at + 4 + i] as number;
    out[to + i] = scale * (byte & 15) + minimum;
    out[to + 16 + i] = scale * (byte >> 4) + minimum;
  }
};

/** The fifth bits of all elements stand in one word in front of the low four. */
export const decodeQ5_0: BlockDecoder = (bytes, at, out, to) => {
  const scale = halfAt(bytes, at);
  const fifth = wordAt(bytes, at + 2);
  for (let i = 0; i < 16; i++) {
    const byte = bytes[at + 6 + i] as number;
    out[to + i] = scale * (((byte & 15) | (((fifth >>> i) & 1) << 4)) - 16);
    out[to + 16 + i] = scale * (((byte >> 4) | (((fifth >>> (i + 16)) & 1) << 4)) - 16);
  }
};

export const decodeQ5_1: BlockDecoder = (bytes, at, out, to) => {
  const scale = halfAt(bytes, at);
  const minimum = halfAt(bytes, at + 2);
  const fifth = wordAt(bytes, at + 4);
  for (let i = 0; i < 16; i++) {
    const byte = bytes[at + 8 + i] as number;
    out[to + i] = scale * ((byte & 15) | (((fifth >>> i) & 1) << 4)) + minimum;
    out[to + 16 + i] = scale * ((byte >> 4) | (((fifth >>> (i + 16)) & 1) << 4)) + minimum;
  }
};

export const decodeQ8_0: BlockDecoder = (bytes, at, out, to) => {
  const scale = halfAt(bytes, at);
  for (let i = 0; i < 32; i++) out[to + i] = scale * (((bytes[at + 2 + i] as number) << 24) >> 24);
};

/** Levels of IQ4_NL, which are not evenly spaced. */
export const iq4Levels: readonly number[] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

export const decodeIq4Nl: BlockDecoder = (bytes, at, out, to) => {
  const scale = halfAt(bytes, at);
  for (let i = 0; i < 16; i++) {
    const byte = bytes[at + 2 + i] as number;
    out[to + i] = scale * (iq4Levels[byte & 15] as number);
    out[to + 16 + i] = scale * (iq4Levels[byte >> 4] as number);
  }
};

/** The half-precision number whose two bytes begin at `at`. */
export function halfAt(bytes: Uint8Array, at: number): number {
  return halfBitsToFloat((bytes[at] as number) | ((bytes[at + 1] as number) << 8));
}

function wordAt(bytes: Uint8Array, at: number): number {
  const [a = 0, b = 0, c = 0, d = 0] = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
  return a | (b << 8) | (c << 16) | (d << 24);
}

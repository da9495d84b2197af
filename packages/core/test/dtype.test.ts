import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  bfloatBitsToFloat,
  decodeElements,
  encodeElements,
  floatToBfloatBits,
  floatToHalfBits,
  halfBitsToFloat,
  plainBytes,
} from '../src/tensor/dtype.ts';

describe('half precision', () => {
  it('widens known bit patterns', () => {
    // From the tables of IEEE 754: binary16.
    const known: [bits: number, value: number][] = [
      [0x0000, 0],
      [0x0001, 2 ** -24],
      [0x03ff, 1023 * 2 ** -24],
      [0x0400, 2 ** -14],
      [0x3555, 0.333251953125],
      [0x3c00, 1],
      [0x3c01, 1 + 2 ** -10],
      [0xc000, -2],
      [0x7bff, 65504],
      [0x7c00, Number.POSITIVE_INFINITY],
      [0xfc00, Number.NEGATIVE_INFINITY],
    ];
    for (const [bits, value] of known) {
      expect(halfBitsToFloat(bits)).toBe(value);
      expect(floatToHalfBits(value)).toBe(bits);
    }
    expect(Object.is(halfBitsToFloat(0x8000), -0)).toBe(true);
    expect(halfBitsToFloat(0x7e00)).toBeNaN();
    expect(halfBitsToFloat(floatToHalfBits(Number.NaN))).toBeNaN();
  });

  it('gives every bit pattern back', () => {
    for (let bits = 0; bits < 0x10000; bits++) {
      const value = halfBitsToFloat(bits);
      if (!Number.isNaN(value)) expect(floatToHalfBits(value)).toBe(bits);
    }
  });

  it('rounds to the nearest, ties to even', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0x7bfe }), fc.double({ min: 0, max: 1, noNaN: true }), (bits, part) => {
        const low = halfBitsToFloat(bits);
        const high = halfBitsToFloat(bits + 1);
        const value = Math.fround(low + (high - low) * part);
        const middle = (low + high) / 2;
        const even = bits % 2 === 0 ? bits : bits + 1;
        const nearest = value < middle ? bits : value > middle ? bits + 1 : even;
        expect(floatToHalfBits(value)).toBe(nearest);
        expect(floatToHalfBits(-value)).toBe(nearest | 0x8000);
      }),
      {
        numRuns: 2000,
        seed: 1,
        examples: [
          [0, 0.5],
          [1, 0.5],
          [0x3ff, 0.5],
          [0x3c00, 0.5],
          [0x7bfe, 0.5],
        ],
      },
    );
    expect(floatToHalfBits(65519.99)).toBe(0x7bff);
    expect(floatToHalfBits(65520)).toBe(0x7c00);
  });
});

describe('bfloat16', () => {
  it('is the upper half of f32, rounded to nearest even', () => {
    const view = new DataView(new ArrayBuffer(4));
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffffffff }), (word) => {
        view.setUint32(0, word);
        const value = view.getFloat32(0);
        const bits = floatToBfloatBits(value);
        if (Number.isNaN(value)) {
          expect(bfloatBitsToFloat(bits)).toBeNaN();
          return;
        }
        const rest = word & 0xffff;
        const upper = word >>> 16;
        const up = rest > 0x8000 || (rest === 0x8000 && (upper & 1) === 1);
        expect(bits).toBe(up ? upper + 1 : upper);
        view.setUint32(0, bits * 65536);
        expect(bfloatBitsToFloat(bits)).toBe(view.getFloat32(0));
      }),
      { numRuns: 2000, seed: 1, examples: [[0x3f808000], [0x3f818000], [0x7f7fffff], [0x80000000], [0x00000001]] },
    );
  });
});

it('encodes and decodes every dtype, odd counts too', () => {
  for (const dtype of ['f32', 'f16', 'bf16', 'i32', 'u32'] as const) {
    for (const count of [0, 1, 2, 5]) {
      const data = Array.from({ length: count }, (_, i) => i * 3);
      const bytes = encodeElements(data, dtype);
      expect(bytes.byteLength).toBe(plainBytes(dtype, count));
      expect([...decodeElements(bytes.buffer, dtype, count)]).toEqual(data);
    }
  }
  expect([...decodeElements(encodeElements([-5, 2 ** 31 - 1], 'i32').buffer, 'i32', 2)]).toEqual([-5, 2 ** 31 - 1]);
});

import { describe, expect, it } from 'vitest';
import { ArgumentError, normalNumbers, philox, RandomStream, uniformNumbers, type Words4 } from '../src/index.ts';

describe('philox', () => {
  // Known answers for 10 rounds from the Random123 distribution (kat_vectors).
  const known: readonly (readonly [counter: Words4, key: readonly [number, number], expected: Words4])[] = [
    [
      [0, 0, 0, 0],
      [0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ];
  for (const [counter, key, expected] of known) {
    it(`counter ${counter.map((word) => word.toString(16))}`, () => expect(philox(counter, key)).toEqual(expected));
  }
});

describe('uniformNumbers and normalNumbers', () => {
  it('are one sequence, however it is cut', () => {
    for (const numbers of [uniformNumbers, normalNumbers]) {
      const whole = numbers(50, { seed: 9, stream: 2 });
      for (const offset of [1, 2, 3, 4, 17]) {
        expect(numbers(20, { seed: 9, stream: 2, offset })).toEqual(whole.subarray(offset, offset + 20));
      }
      expect(numbers(50, { seed: 9, stream: 3 })).not.toEqual(whole);
      expect(numbers(50, { seed: 10, stream: 2 })).not.toEqual(whole);
      expect(numbers(0)).toHaveLength(0);
    }
  });

  it('have the moments of their distributions', () => {
    const count = 100_000;
    const mean = (values: Float32Array, power: number) =>
      values.reduce((sum, value) => sum + value ** power, 0) / count;
    const uniform = uniformNumbers(count, { seed: 1 });
    expect(Math.min(...uniform.subarray(0, 50_000))).toBeGreaterThanOrEqual(0);
    expect(Math.max(...uniform.subarray(0, 50_000))).toBeLessThan(1);
    expect(mean(uniform, 1)).toBeCloseTo(1 / 2, 2);
    expect(mean(uniform, 2)).toBeCloseTo(1 / 3, 2);
    const normal = normalNumbers(count, { seed: 1 });
    expect(mean(normal, 1)).toBeCloseTo(0, 2);
    expect(mean(normal, 2)).toBeCloseTo(1, 1.5);
    expect(Math.abs(mean(normal, 4) - 3)).toBeLessThan(0.15);
  });

  it('refuse bad places', () => {
    for (const options of [{ seed: -1 }, { seed: 1.5 }, { stream: 2 ** 32 }, { offset: -1 }, { offset: 0.5 }]) {
      expect(() => uniformNumbers(1, options)).toThrow(ArgumentError);
    }
    expect(() => uniformNumbers(-1)).toThrow(ArgumentError);
  });
});

describe('RandomStream', () => {
  it('repeats itself for the same seed and stream', () => {
    const take = (stream: RandomStream) => Array.from({ length: 20 }, () => stream.next());
    const first = take(new RandomStream(5, 1));
    expect(take(new RandomStream(5n, 1))).toEqual(first);
    expect(take(new RandomStream(5, 2))).not.toEqual(first);
    expect(take(new RandomStream(5n + (1n << 32n), 1))).not.toEqual(first);
    for (const value of first) expect(value >= 0 && value < 1).toBe(true);
  });

  it('draws integers evenly', () => {
    const stream = new RandomStream(3);
    const counts = new Array<number>(7).fill(0);
    for (let i = 0; i < 70_000; i++) {
      const value = stream.integer(7);
      counts[value] = (counts[value] as number) + 1;
    }
    const chiSquare = counts.reduce((sum, count) => sum + (count - 10_000) ** 2 / 10_000, 0);
    // The 99.99% quantile at 6 degrees of freedom.
    expect(chiSquare).toBeLessThan(27.9);
    expect(new RandomStream().integer(1)).toBe(0);
    expect(new RandomStream().integer(2 ** 32)).toBeGreaterThanOrEqual(0);
    for (const below of [0, -1, 1.5, 2 ** 32 + 1]) expect(() => stream.integer(below)).toThrow(ArgumentError);
  });

  it('shuffles into every order alike', () => {
    const stream = new RandomStream(4);
    const items = ['a', 'b', 'c'];
    const counts = new Map<string, number>();
    for (let i = 0; i < 6000; i++) {
      const order = stream.shuffle(items).join('');
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect(items).toEqual(['a', 'b', 'c']);
    expect(counts.size).toBe(6);
    const chiSquare = [...counts.values()].reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0);
    // The 99.99% quantile at 5 degrees of freedom.
    expect(chiSquare).toBeLessThan(25.8);
  });
});

import { describe, expect, it } from 'vitest';
import { ArgumentError } from '../src/index.ts';
import { type AssociativeRecallOptions, associativeRecall } from '../src/nn/index.ts';

const ignored = 2 ** 32 - 1;
const options = { vocabulary: 130, length: 64, pairs: 16, examples: 50, seed: 3 };

describe('associativeRecall', () => {
  it.each([
    ['as many queries as there is room for', options],
    ['few among many', { ...options, pairs: 3 }],
    ['an odd vocabulary', { ...options, vocabulary: 131, pairs: 5 }],
  ])('asks for each key’s value once: %s', (_, given) => {
    const { inputs, targets } = associativeRecall(given);
    const { length, pairs, vocabulary } = given;
    const half = Math.floor(vocabulary / 2);
    for (let start = 0; start < inputs.length; start += length) {
      const row = inputs.subarray(start, start + length);
      const wanted = targets.subarray(start, start + length);
      const memory = new Map<number, number>();
      for (let pair = 0; pair < pairs; pair++) memory.set(row[2 * pair]!, row[2 * pair + 1]!);
      expect(memory.size).toBe(pairs);
      expect(new Set(memory.values()).size).toBe(pairs);
      for (const [key, value] of memory) {
        expect(key).toBeGreaterThanOrEqual(1);
        expect(key).toBeLessThan(half);
        expect(value).toBeGreaterThanOrEqual(half);
        expect(value).toBeLessThan(vocabulary);
      }
      const asked = [...wanted.keys()].filter((at) => wanted[at] !== ignored);
      expect(asked).toHaveLength(pairs);
      expect(new Set(asked.map((at) => row[at])).size).toBe(pairs);
      for (const at of asked) {
        expect(at).toBeGreaterThanOrEqual(2 * pairs);
        expect(at % 2).toBe(0);
        expect(wanted[at]).toBe(memory.get(row[at]!));
      }
    }
  });

  it('gives the same examples for a seed and stream, others for others', () => {
    const inputs = (changed: Partial<AssociativeRecallOptions>) => associativeRecall({ ...options, ...changed }).inputs;
    expect(inputs({})).toEqual(inputs({}));
    expect(inputs({ seed: 4 })).not.toEqual(inputs({}));
    expect(inputs({ stream: 1 })).not.toEqual(inputs({}));
  });

  it('asks near the pairs more often, as the power law says', () => {
    const { targets } = associativeRecall({ ...options, pairs: 1, examples: 4000 });
    const counts = new Float64Array(31);
    targets.forEach((target, at) => {
      if (target !== ignored) counts[((at % 64) - 2) / 2]! += 1;
    });
    const weights = counts.map((_, gap) => (gap + 1) ** -0.99);
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    // Four standard deviations of a count.
    counts.forEach((count, gap) => {
      const expected = (4000 * (weights[gap] as number)) / total;
      expect(Math.abs(count - expected)).toBeLessThan(4 * Math.sqrt(expected));
    });
  });

  it.each([
    ['pairs', { pairs: 17 }, /at most length \/ 4 = 16/],
    ['length', { length: 65 }, /an even number/],
    ['vocabulary', { vocabulary: 64 }, /more than length = 64/],
    ['power', { power: 0 }, /> 0/],
    ['examples', { examples: 0.5 }, /an integer of 1 or more/],
  ])('refuses %s out of range', (name, given, message) => {
    const call = () => associativeRecall({ ...options, ...given });
    expect(call).toThrow(ArgumentError);
    expect(call).toThrow(`associativeRecall: ${name}`);
    expect(call).toThrow(message);
  });
});

import { describe, expect, it } from 'vitest';
import { ArgumentError, ShapeError, topPFilter, unmaskTokens } from '../src/index.ts';
import { lowestScore } from '../src/kernels/wgsl.ts';
import { modestGpu, randomArray } from '../src/testing/index.ts';

const maskId = 99;

describe('unmaskTokens', () => {
  it('writes the most confident proposals where ids are masked, and nothing else', async () => {
    const gpu = await modestGpu();
    const ids = [7, maskId, maskId, 5, maskId, maskId, maskId];
    const proposals = [10, 11, 12, 13, 14];
    // The token at 3 is the surest and stands already; the two of 0.5 are equal, and the first goes before.
    const confidence = [0.1, 0.9, 0.5, 0.5, 0.2];
    const run = async (options: { count?: number; threshold?: number }) => {
      const inputs = [
        gpu.tensor(ids, [7], 'u32'),
        gpu.tensor(proposals, [5], 'u32'),
        gpu.tensor(confidence, [5]),
      ] as const;
      const result = unmaskTokens(...inputs, { maskId, start: 2, ...options });
      const read = [...(await result.read())];
      for (const tensor of [...inputs, result]) tensor.dispose();
      return read;
    };
    expect(await run({ count: 0 })).toEqual(ids);
    expect(await run({ count: 1 })).toEqual([7, maskId, maskId, 5, 12, maskId, maskId]);
    expect(await run({ count: 2 })).toEqual([7, maskId, maskId, 5, 12, 13, maskId]);
    expect(await run({})).toEqual([7, maskId, 10, 5, 12, 13, 14]);
    expect(await run({ threshold: 0.2 })).toEqual([7, maskId, maskId, 5, 12, 13, maskId]);
  });

  it('agrees with sorting, for many tokens', async () => {
    const gpu = await modestGpu();
    const before = gpu.stats().liveBytes;
    const [size, candidates, start, count] = [200, 150, 31, 40];
    const hidden = randomArray(size, 1);
    const ids = Uint32Array.from(hidden, (value, index) => (value > 0 ? maskId : index));
    const scores = randomArray(candidates, 2);
    const proposals = Uint32Array.from(scores, (_, index) => 1000 + index);
    const order = [...scores.keys()]
      .filter((index) => ids[start + index] === maskId)
      .sort((a, b) => (scores[b] as number) - (scores[a] as number));
    const expected = [...ids];
    for (const index of order.slice(0, count)) expected[start + index] = proposals[index] as number;
    const inputs = [
      gpu.tensor(ids, [size], 'u32'),
      gpu.tensor(proposals, [candidates], 'u32'),
      gpu.tensor(scores, [candidates]),
    ] as const;
    const result = unmaskTokens(...inputs, { maskId, start, count });
    expect([...(await result.read())]).toEqual(expected);
    for (const tensor of [...inputs, result]) tensor.dispose();
    expect(gpu.stats().liveBytes).toBe(before);
  });

  it('refuses what does not fit', async () => {
    const gpu = await modestGpu();
    const [ids, two, scores] = [
      gpu.tensor([1, 2, 3], [3], 'u32'),
      gpu.tensor([1, 2], [2], 'u32'),
      gpu.tensor([1, 2], [2]),
    ];
    expect(() => unmaskTokens(ids, two, gpu.tensor([1], [1]), { maskId })).toThrow(ShapeError);
    expect(() => unmaskTokens(ids, scores, scores, { maskId })).toThrow(ShapeError);
    expect(() => unmaskTokens(ids, two, scores, { maskId, start: 2 })).toThrow(ArgumentError);
    expect(() => unmaskTokens(ids, two, scores, { maskId, count: 3 })).toThrow(ArgumentError);
    for (const tensor of [ids, two, scores]) tensor.dispose();
  });
});

describe('topPFilter', () => {
  it('keeps the smallest set of most probable scores that reaches p', async () => {
    const gpu = await modestGpu();
    for (const [columns, p] of [
      [3, 0.5],
      [40, 0.9],
      [257, 0.99],
      [1000, 0.2],
    ] as const) {
      const data = randomArray(3 * columns, columns, { scale: 4 });
      const x = gpu.tensor(data, [3, columns]);
      const filtered = topPFilter(x, p);
      const result = await filtered.read();
      for (let row = 0; row < 3; row++) {
        const scores = data.subarray(row * columns, (row + 1) * columns);
        const top = Math.max(...scores);
        const masses = scores.map((score) => Math.exp(score - top));
        const total = masses.reduce((sum, mass) => sum + mass, 0);
        const order = [...scores.keys()].sort((a, b) => (scores[b] as number) - (scores[a] as number));
        let reached = 0;
        const kept = new Set<number>();
        for (const index of order) {
          if (reached >= p * total) break;
          kept.add(index);
          reached += masses[index] as number;
        }
        const expected = scores.map((score, index) => (kept.has(index) ? score : lowestScore));
        expect([...result.subarray(row * columns, (row + 1) * columns)]).toEqual([...expected]);
      }
      x.dispose();
      filtered.dispose();
    }
  });

  it('keeps all for 1, one for very little, and refuses the rest', async () => {
    const gpu = await modestGpu();
    const x = gpu.tensor([0, 3, 1], [1, 3]);
    const [all, one] = [topPFilter(x, 1), topPFilter(x, 1e-6)];
    expect([...(await all.read())]).toEqual([0, 3, 1]);
    expect([...(await one.read())]).toEqual([lowestScore, 3, lowestScore].map(Math.fround));
    expect(() => topPFilter(x, 0)).toThrow(ArgumentError);
    for (const tensor of [x, all, one]) tensor.dispose();
  });
});

import { ArgumentError, chooseRows, type EvictionPolicy, resolveEvictionPolicy, ShapeError } from '@saccade/core';
import { hardwareKernelsGpu, modestGpu, randomArray, sharedGpu } from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';

const gpu = await sharedGpu();
const devices = [
  ['every feature', gpu],
  ['WebGPU defaults', await modestGpu()],
  ['kernels for GPUs', await hardwareKernelsGpu()],
] as const;

const kvHeads = 3;

interface Case {
  readonly scores: Float32Array;
  readonly positions: Uint32Array;
  readonly lengths: readonly number[];
  readonly length: number;
  readonly seen: number;
}

/** Rows [B, Hkv, length] of which each head holds its own number, with ascending positions up to `seen`. */
function rows(lengths: readonly number[], length: number, seen: number, seed: number): Case {
  const positions = new Uint32Array(lengths.length * length).fill(0xffffffff);
  lengths.forEach((count, head) => {
    // Holes at the front: the newest tokens are always held.
    for (let row = 0; row < count; row++) positions[head * length + row] = row < 2 ? row : seen - count + row;
  });
  return { scores: randomArray(positions.length, seed), positions, lengths, length, seen };
}

/** The policy in plain JavaScript: kept rows per head, ascending. */
function expected({ scores, positions, lengths, length, seen }: Case, policy: EvictionPolicy): number[][] {
  const { budget, per, leastShare, sinks, recent } = resolveEvictionPolicy(policy);
  const tokens = typeof budget === 'number' ? budget : Math.max(Math.ceil(budget.ratio * seen), sinks + recent);
  const all = lengths.flatMap((count, head) =>
    Array.from({ length: count }, (_, row) => {
      const position = positions[head * length + row] as number;
      const stays = position < sinks || position >= seen - recent;
      return { head, row, score: stays ? 3 : (scores[head * length + row] as number) };
    }),
  );
  const best = (entries: typeof all, count: number) => [...entries].sort((a, b) => b.score - a.score).slice(0, count);
  const ofHead = (head: number) => all.filter((entry) => entry.head === head);
  const kept = lengths.map((_, head) => best(ofHead(head), tokens));
  if (per === 'head') return kept.map((entries) => entries.map(({ row }) => row).sort((a, b) => a - b));
  for (const head of lengths.keys())
    for (const entry of best(ofHead(head), Math.floor(leastShare * tokens))) entry.score = Math.max(entry.score, 2);
  const heads = lengths.length / kvHeads;
  const result = lengths.map((): number[] => []);
  for (let sequence = 0; sequence < heads; sequence++) {
    const own = all.filter(({ head }) => Math.floor(head / kvHeads) === sequence);
    for (const { head, row } of best(own, tokens * kvHeads)) result[head]?.push(row);
  }
  return result.map((list) => list.sort((a, b) => a - b));
}

describe.each(devices)('an eviction policy with %s', (_, device) => {
  it.each([
    ['per head', { budget: 9, sinks: 1, recent: 3 }],
    ['per head by ratio', { budget: { ratio: 0.3 }, sinks: 0, recent: 0 }],
    ['per layer', { budget: 9, per: 'layer', leastShare: 0, sinks: 1, recent: 2 }],
    ['per layer with a least share', { budget: 10, per: 'layer', leastShare: 0.6, sinks: 0, recent: 1 }],
  ] as const)('keeps the best rows %s', async (_name, policy) => {
    const batch = 2;
    const given = rows([40, 17, 33, 5, 40, 21], 40, 64, 7);
    // One head scores high throughout, so that budgets per layer differ.
    given.scores.subarray(2 * 40, 3 * 40).forEach((score, index, own) => {
      own[index] = score + 0.9;
    });
    const shape = [batch, kvHeads, 40];
    const kept = device.tidy(() =>
      chooseRows(
        device.tensor(given.scores, shape),
        {
          positions: device.tensor(given.positions, shape, 'u32'),
          lengths: device.tensor(given.lengths, [batch, kvHeads], 'u32'),
        },
        resolveEvictionPolicy(policy),
        given.seen,
      ),
    );
    if (!kept?.counts) throw new Error('nothing was chosen');
    const [indices, counts] = (await device.read([kept.indices, kept.counts])) as [Uint32Array, Uint32Array];
    const width = kept.indices.shape[2] as number;
    const lists = given.lengths.map((_, head) => [
      ...indices.subarray(head * width, head * width + (counts[head] as number)),
    ]);
    expect(lists).toEqual(expected(given, policy));
    for (const [sequence, total] of (kept.totals ?? []).entries()) {
      const own = [...counts].slice(sequence * kvHeads, (sequence + 1) * kvHeads);
      expect(own.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(total);
    }
    for (const tensor of [kept.indices, kept.counts]) tensor.dispose();
  });
});

describe('an eviction policy', () => {
  it('has nothing to choose where all rows fit', () => {
    gpu.tidy(() => {
      const given = rows([6, 6, 6], 6, 6, 1);
      const tensors = {
        positions: gpu.tensor(given.positions, [1, 3, 6], 'u32'),
        lengths: gpu.tensor([6, 6, 6], [1, 3], 'u32'),
      };
      const scores = gpu.tensor(given.scores, [1, 3, 6]);
      const before = gpu.stats().dispatches;
      expect(chooseRows(scores, tensors, resolveEvictionPolicy({ budget: { ratio: 1 } }), 6)).toBeUndefined();
      expect(gpu.stats().dispatches).toBe(before);
      expect(() => chooseRows(scores.slice(1, 0, 2), tensors, resolveEvictionPolicy({ budget: 40 }), 6)).toThrow(
        ShapeError,
      );
    });
  });

  it('refuses what is out of range, by name', () => {
    for (const policy of [
      { budget: 0 },
      { budget: 35 },
      { budget: { ratio: 0 } },
      { budget: { ratio: 1.1 } },
      { budget: 50, leastShare: 2 },
      { budget: 50, sinks: -1 },
      { budget: 50, per: 'row' as 'head' },
    ]) {
      expect(() => resolveEvictionPolicy(policy), JSON.stringify(policy)).toThrow(ArgumentError);
    }
    expect(() => resolveEvictionPolicy({ budget: 35 })).toThrow(/budget: got 35.*\[36/);
  });
});

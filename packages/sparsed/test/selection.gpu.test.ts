import { relativeError } from '@saccade/core';
import { type DenoisingInput, type DenoisingShape, headRows, randomArray, sharedGpu } from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import type { SelectBlocksOptions } from '../src/index.ts';
import { attended, randomInput, selected } from './patterns.ts';

const reference = { isolated: true, selection: 'reference' } as const;

/**
 * Keys whose scores are `offset(block)` for every query, plus noise: the first feature carries the offset.
 */
function offsetInput(c: DenoisingShape, blockSize: number, offset: (block: number) => number): DenoisingInput {
  const [q, k, v] = [1, 2, 3].map((seed) => randomArray(c.heads * c.length * c.headSize, seed)) as [
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  for (let row = 0; row < c.heads * c.length; row++) {
    q[row * c.headSize] = 1;
    k[row * c.headSize] = Math.sqrt(c.headSize) * offset(Math.floor((row % c.length) / blockSize));
  }
  return [q, k, v];
}

const long: DenoisingShape = { batches: 1, layers: 1, heads: 2, kvHeads: 2, length: 1024, headSize: 16 };
const longOptions = { blockSize: 128, promptLength: 768, ...reference };

describe('isolated selection', () => {
  it('check 4: keeps a generated block in every row and 4 blocks at most, where a joint ranking keeps none', async () => {
    const gpu = await sharedGpu();
    const input = offsetInput(long, 128, (block) => (block < 6 ? 4 : 0));
    const isolated = (await selected(gpu, long, input, { ...longOptions, select: 0.3 })).flat();
    expect(isolated.every((list) => list.filter((block) => block >= 6).length === 1)).toBe(true);
    expect(Math.max(...isolated.map((list) => list.length))).toBe(4);
    const joint = (await selected(gpu, long, input, { ...longOptions, select: 0.3, isolated: false })).flat();
    expect(joint.filter((list) => list.some((block) => block >= 6))).toEqual([]);
    expect(joint.every((list) => list.length === 3)).toBe(true);
  });

  it('check 5: loses less than a joint ranking of the same budget where a generated block holds the values', async () => {
    const gpu = await sharedGpu();
    // Three blocks of the prompt get most; generated ones get less than the rest of the prompt, but say more.
    const [q, k, v] = offsetInput(long, 128, (block) => (block < 3 ? 4 : block < 6 ? 0.5 : block === 6 ? 0.2 : 0));
    const values = Float32Array.from(v, (value, at) =>
      Math.floor((Math.floor(at / 16) % 1024) / 128) === 6 ? 40 + value : value,
    );
    const input: DenoisingInput = [q, k, values];
    const lists = await selected(gpu, long, input, { ...longOptions, select: 0.3 });
    const joint = await selected(gpu, long, input, { ...longOptions, select: 0.4, isolated: false });
    const sizes = [lists, joint].map((all) => new Set(all.flat().map(({ length }) => length)));
    expect(sizes.map((lengths) => [...lengths])).toEqual([[4], [4]]);
    const dense = await attended(gpu, long, input, undefined, 128);
    const error = async (all: number[][][]) => relativeError(dense, await attended(gpu, long, input, all, 128));
    expect(await error(lists)).toBeLessThan(0.5 * (await error(joint)));
  });
});

/** Heads whose rows of blocks give about 95% of their mass to the blocks that `planted` names, of 8. */
function plantedInput(
  c: DenoisingShape,
  blockSize: number,
  planted: (head: number, row: number) => number[],
): DenoisingInput {
  const noise = (seed: number) => randomArray(c.heads * c.length * c.headSize, seed, { scale: 0.3 });
  const [q, k] = [noise(1), noise(2)];
  const size = Math.sqrt(4.1 * Math.sqrt(c.headSize));
  for (let row = 0; row < c.heads * c.length; row++) {
    const [head, block] = [Math.floor(row / c.length), Math.floor((row % c.length) / blockSize)];
    k[row * c.headSize + block]! += size;
    for (const key of planted(head, block)) q[row * c.headSize + key]! += size;
  }
  return [q, k, randomArray(q.length, 3)];
}

describe('patterns', () => {
  const c: DenoisingShape = { batches: 1, layers: 1, heads: 2, kvHeads: 2, length: 256, headSize: 16 };
  const options: SelectBlocksOptions = { blockSize: 32, promptLength: 0, select: 0.3, ...reference };

  it('check 6: heads have their own, which hold all planted blocks; one for both heads fails', async () => {
    const gpu = await sharedGpu();
    const planted = (head: number, row: number) => (head === 0 ? [0, 3] : [row, (row + 1) % 8]);
    const input = plantedInput(c, 32, planted);
    const lists = await selected(gpu, c, input, options);
    lists.forEach((rows, head) => {
      rows.forEach((list, row) => {
        expect(list).toEqual(expect.arrayContaining(planted(head, row)));
      });
    });
    expect(lists[0]).not.toEqual(lists[1]);
    const dense = await attended(gpu, c, input, undefined, 32);
    const headError = async (all: number[][][], head: number) => {
      const output = await attended(gpu, c, input, all, 32);
      return relativeError(headRows(dense, head, c).flat(), headRows(output, head, c).flat());
    };
    expect(await headError(lists, 0)).toBeLessThan(0.1);
    expect(await headError(lists, 1)).toBeLessThan(0.1);
    const [shared] = lists as [number[][], number[][]];
    expect(await headError([shared, shared], 1)).toBeGreaterThan(0.5);
  });

  it('check 7: last while queries drift by 1%: nearly the same blocks, and nearly the same error', async () => {
    const gpu = await sharedGpu();
    const first = randomInput(c, 4);
    const drift = randomArray(first[0].length, 77);
    const scale = Math.sqrt(3); // of the queries, whose noise is to be 1%
    const q = Float32Array.from(first[0], (value, at) => value + 0.01 * scale * (drift[at] as number));
    const later: DenoisingInput = [q, first[1], first[2]];
    const [reused, recomputed] = [await selected(gpu, c, first, options), await selected(gpu, c, later, options)];
    let [common, either] = [0, 0];
    reused.forEach((rows, head) => {
      rows.forEach((list, row) => {
        const other = recomputed[head]?.[row] as number[];
        common += list.filter((block) => other.includes(block)).length;
        either += new Set([...list, ...other]).size;
      });
    });
    expect(common / either).toBeGreaterThan(0.9);
    const dense = await attended(gpu, c, later, undefined, 32);
    const error = async (lists: number[][][]) => relativeError(dense, await attended(gpu, c, later, lists, 32));
    expect(Math.abs((await error(reused)) / (await error(recomputed)) - 1)).toBeLessThan(0.02);
  });
});

import type { Method } from '@saccade/core';
import { sharedGpu } from '@saccade/core/testing';
import type { MaskedDiffusionModel } from '@saccade/models';
import { randomMaskedDiffusion } from '@saccade/models/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { patternDensity, type SparseDOptions, type SparseDState, sparseD } from '../src/index.ts';
import { readPattern } from './patterns.ts';

/** Grouped queries: 4 heads on 2. */
let model: MaskedDiffusionModel;
const prompt = Array.from({ length: 40 }, (_, index) => (index * 37 + 11) % 251);
const run = { length: 24, blockLength: 12, steps: 8 } as const;

beforeAll(async () => {
  model = await randomMaskedDiffusion(await sharedGpu(), { layers: 2 });
});

afterAll(() => model.dispose());

async function written(method: Method | undefined, more: object = {}): Promise<readonly number[]> {
  return (await model.denoise(prompt, { ...run, ...more, method })).ids;
}

/** What is left of a run's patterns before the run forgets them, and their density. */
async function inspected(options: SparseDOptions, more: object = {}) {
  const method = sparseD(options);
  const patterns: number[][][][] = [];
  let density = 0;
  const watched: Method<SparseDState> = {
    ...method,
    async step(context) {
      if (context.phase !== 'denoise' || context.step.index !== run.steps - 1) return;
      for (const { blocks } of context.state.patterns) patterns.push(await readPattern(blocks));
      density = await patternDensity(context.state);
    },
  };
  return { ids: await written(watched, more), patterns, density };
}

describe('a masked-diffusion language model', () => {
  it('writes the dense tokens where all blocks are kept, and keeps no memory', async () => {
    const dense = await written(undefined);
    const before = model.gpu.stats().liveBytes;
    expect(await written(sparseD({ select: 1, blockSize: 8 }))).toEqual(dense);
    expect(model.gpu.stats().liveBytes).toBe(before);
  });

  it('tells steps over all blocks of text and its prompt: one pattern per layer, isolated at the prompt’s end', async () => {
    const { patterns, density } = await inspected({ select: 0.2, blockSize: 8 });
    expect(patterns.map((heads) => [heads.length, heads[0]?.length])).toEqual([
      [4, 8],
      [4, 8],
    ]);
    // 64 tokens, 40 of them the prompt: of each row 2 of 8 blocks before generated ones are dropped, 1 of 3 generated ones.
    const lists = patterns.flat(2);
    expect(lists.every((list) => list.filter((block) => block >= 5).length === 1)).toBe(true);
    expect(Math.max(...lists.map(({ length }) => length))).toBe(3);
    expect(density).toBeGreaterThan(1 / 8);
    expect(density).toBeLessThanOrEqual(3 / 8);
  });

  it('has a pattern for each branch of guidance', async () => {
    const { patterns } = await inspected({ select: 0.2, blockSize: 8 }, { guidance: 1 });
    for (const heads of patterns) {
      expect(heads).toHaveLength(8);
      expect(heads.slice(0, 4)).not.toEqual(heads.slice(4));
    }
  });
});

import { attention, type Method, parseOptions, type Tensor } from '@saccade/core';
import { randomArray, runDenoisingSteps, sharedGpu } from '@saccade/core/testing';
import { gna, neighborhoodMask } from '@saccade/gna';
import { gnaEntry } from '@saccade/gna/bench';
import type { MaskedDiffusionModel } from '@saccade/models';
import { sparseD } from '@saccade/sparsed';
import { loadTinyMaskedDiffusion, persuasionDiffusion } from '@saccade/tiny-models';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { denoisingStripes, denoisingWindow, windowReuse } from '../src/baselines/index.ts';
import { DenoisingDensity } from '../src/measure/denoising-density.ts';

const prompt = 'She was only Anne';
const sizes = { length: 15, steps: 5 };

let model: MaskedDiffusionModel;

beforeAll(async () => {
  model = await loadTinyMaskedDiffusion(await sharedGpu(), persuasionDiffusion);
});

afterAll(() => model.dispose());

const entries = [denoisingWindow, denoisingStripes, windowReuse] as const;

function methodOf(entry: (typeof entries)[number], given: { density: number; denseShare: number }): Method {
  const options = parseOptions(entry.options, given);
  return (entry.create as (options: unknown) => Method)(options);
}

async function run(method: Method | undefined): Promise<{ ids: readonly number[]; density: number | null }> {
  const meter = new DenoisingDensity();
  const { ids } = await model.denoise(prompt, { ...sizes, method: meter.around(method) });
  return { ids, density: await meter.density(model.gpu) };
}

describe('baselines of denoising', () => {
  it('dense first steps are the dense run, and nothing is left behind', async () => {
    const before = model.gpu.stats().liveBytes;
    const dense = await run(undefined);
    expect(dense.density).toBe(1);
    const first = await run(methodOf(denoisingWindow, { density: 0.1, denseShare: 1 }));
    expect(first).toEqual(dense);
    expect(model.gpu.stats().liveBytes).toBe(before);
  });

  it('the measured density is the share of pairs that the masks let see, dense steps included', async () => {
    const tokens = 32;
    // Half = floor((0.25 * 32 - 1) / 2) = 3: seven keys, fewer at the ends.
    const pairs = Array.from(
      { length: tokens },
      (_, query) => Math.min(query, 3) + 1 + Math.min(tokens - 1 - query, 3),
    );
    const share = pairs.reduce((sum, count) => sum + count, 0) / tokens ** 2;
    const window = await run(methodOf(denoisingWindow, { density: 0.25, denseShare: 0.2 }));
    // Steps: dense at 0, and at 1, the first of those that come every fifth; the window at 2, 3, 4.
    expect(window.density).toBeCloseTo((2 + 3 * share) / 5, 10);
    // The same steps, and the window besides at 1.
    const reuse = await run(methodOf(windowReuse, { density: 0.25, denseShare: 0.2 }));
    expect(reuse.density).toBeCloseTo((2 + 4 * share) / 5, 10);
  });

  it('tiles of neighbourhoods count by the pairs that they mean; of attention of its own there is no density', async () => {
    const { gpu } = model;
    const tokenGrid = { height: 6, width: 8, textTokens: 0, textFirst: false };
    const densityOf = async (method: Method) => {
      const meter = new DenoisingDensity();
      const shape = { batches: 1, layers: 1, heads: 2, kvHeads: 2, length: 48, headSize: 16 };
      const rows = (seed: number) => randomArray(2 * 48 * 16, seed);
      await runDenoisingSteps(gpu, shape, meter.around(method), {
        ...{ steps: 2, facts: { tokenGrid }, input: () => [rows(1), rows(2), rows(3)] as const },
      });
      return meter.density(gpu);
    };
    const window = [3, 2];
    const seen = neighborhoodMask([6, 8], { window }).reduce((sum, one) => sum + one, 0) / 48 ** 2;
    expect(await densityOf(gna({ window }))).toBeCloseTo(seen, 10);
    expect(await densityOf(gna({ window, denseSteps: 1 }))).toBeCloseTo((1 + seen) / 2, 10);
    const own: Method = {
      name: 'own',
      options: {},
      phases: ['denoise'],
      attend: ({ step }, { q, keys, values }, next) =>
        step?.index === 0 ? next() : attention(q, keys as Tensor, values as Tensor),
    };
    expect(await densityOf(own)).toBeNull();
  });

  it('a budget of GNA is a share of the keys, on a line and on a grid', () => {
    expect(gnaEntry.atBudget(0.1, 256)).toEqual({ window: [26] });
    expect(gnaEntry.atBudget(0.1, 256, [16, 16])).toEqual({ window: [5, 5] });
    expect(gnaEntry.atBudget(1, 48, [6, 8])).toEqual({ window: [6, 8] });
  });

  it('blocks that stand over the end count with the keys that they have', async () => {
    // The prompt and the answer, 32 tokens in blocks of 12: two are full and one is short. Every block is chosen, so every pair is read.
    const whole = await run(sparseD({ blockSize: 12, select: 1, skip: 0.2, isolated: false }));
    expect(whole.density).toBeCloseTo(1, 6);
  });
});

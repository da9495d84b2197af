import { type Method, parseOptions } from '@saccade/core';
import { sharedGpu } from '@saccade/core/testing';
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
  const { ids } = await model.denoise(prompt, { ...sizes, method: meter.behind(method) });
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
    expect(window.density).toBeCloseTo((1 + 4 * share) / 5, 10);
    // Steps: dense at 0, dense and the window at 1, the window alone at 2, 3, 4.
    const reuse = await run(methodOf(windowReuse, { density: 0.25, denseShare: 0.2 }));
    expect(reuse.density).toBeCloseTo((2 + 4 * share) / 5, 10);
  });

  it('blocks that stand over the end count with the keys that they have', async () => {
    // The prompt and the answer, 32 tokens in blocks of 12: two are full and one is short. Every block is chosen, so every pair is read.
    const whole = await run(sparseD({ blockSize: 12, select: 1, skip: 0.2, isolated: false }));
    expect(whole.density).toBeCloseTo(1, 6);
  });
});

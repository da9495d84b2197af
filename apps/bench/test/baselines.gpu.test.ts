import { MethodRun, type PromptCache, type Tensor } from '@saccade/core';
import { assertClose, sharedGpu } from '@saccade/core/testing';
import type { LanguageModel } from '@saccade/models';
import { randomLlama } from '@saccade/models/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { layerTopK, randomTokens, sinksRecent } from '../src/baselines/index.ts';
import { DensityMeter } from '../src/measure/density.ts';

let model: LanguageModel;
let prompt: PromptCache;

beforeAll(async () => {
  model = await randomLlama(await sharedGpu(), { layers: 4 });
  prompt = await model.prefill(Array.from({ length: 50 }, (_, index) => (index * 11) % 250));
});

afterAll(() => {
  prompt.dispose();
  model.dispose();
});

async function decode(meter: DensityMeter, method: Parameters<DensityMeter['behind']>[0]): Promise<Float32Array> {
  const run = await MethodRun.start(model, meter.behind(method));
  run.phase = 'decode';
  const fork = prompt.fork();
  const { hidden, logits } = model.forward([77], { cache: fork.kv, run });
  const row = (await (logits as Tensor).read()) as Float32Array;
  hidden.dispose();
  logits?.dispose();
  fork.dispose();
  run.dispose();
  return row;
}

describe('baselines', () => {
  for (const entry of [randomTokens, sinksRecent, layerTopK]) {
    it(`${entry.name}: a budget of the whole context gives the dense logits, a small one does not; density is what was read`, async () => {
      const dense = await decode(new DensityMeter(), undefined);
      const meter = new DensityMeter();
      assertClose(await decode(meter, entry.create({ topK: 1000, denseLayers: 2 })), dense, { absolute: 1e-4 });
      expect(meter.density).toBe(1);
      const small = new DensityMeter();
      const sparse = await decode(small, entry.create({ topK: 5, denseLayers: 2 }));
      expect(Math.max(...sparse.map((value, index) => Math.abs(value - (dense[index] as number))))).toBeGreaterThan(
        1e-3,
      );
      // Two of four layers read 51 tokens, two read 5.
      expect(small.density).toBeCloseTo((2 * 51 + 2 * 5) / (4 * 51), 12);
    });
  }
});

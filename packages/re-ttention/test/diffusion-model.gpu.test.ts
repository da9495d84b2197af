import { readFileSync } from 'node:fs';
import { type DenoisingStage, type Method, MethodRun, type Tensor } from '@saccade/core';
import { assertClose, parseGoldenTensors, randomArray, sharedGpu } from '@saccade/core/testing';
import { loadDiffusionModel, modelFilesFromUrls, type PredictOptions } from '@saccade/models';
import { afterAll, expect, it } from 'vitest';
import { reTtention } from '../src/index.ts';

const gpu = await sharedGpu();
const golden = (path: string) => new URL(`../../models/test/golden/diffusion/${path}`, import.meta.url);
const weights = 'diffusion_pytorch_model.safetensors';
/** A DiT of random weights, 16 tokens. */
const pipeline = await loadDiffusionModel(
  gpu,
  modelFilesFromUrls('dit', {
    'transformer/config.json': golden('dit/config.json'),
    [`transformer/${weights}`]: golden(`dit/${weights}`),
    'scheduler/scheduler_config.json': golden('scheduler.json'),
  }),
);
const recorded = parseGoldenTensors(readFileSync(golden('dit/golden.safetensors')));

afterAll(() => pipeline.dispose());

/** What the network says of each sample in turn, as steps of one run. */
async function predictions(method: Method | undefined, samples: readonly Tensor[], options: PredictOptions) {
  const run = method ? await MethodRun.start(pipeline.model, method) : undefined;
  const outputs: Float32Array[] = [];
  for (const [index, sample] of samples.entries()) {
    if (run) run.denoisingStep = { index, count: samples.length, stage: 0 };
    const output = pipeline.model.predict(sample, { ...options, ...(run ? { run } : {}) });
    outputs.push((await output.read()) as Float32Array);
    output.dispose();
  }
  run?.dispose();
  return outputs as [Float32Array, Float32Array, Float32Array];
}

/** The window without what is reused: a quarter of 16 tokens, two to each side. */
const windowAlone: Method = {
  name: 'window',
  options: {},
  phases: ['denoise'],
  attend: (_context, _call, next) => next({ mask: { kind: 'slidingWindow', before: 2, after: 2 } }),
};

const distance = (a: Float32Array, b: Float32Array) =>
  Math.sqrt(a.reduce((sum, value, at) => sum + (value - (b[at] as number)) ** 2, 0));

it('a DiT: caching steps are dense, repeated inputs give their output again, near ones a nearer output than the window', async () => {
  const { data, shape } = recorded('native.sample');
  const values = data as Float32Array;
  const sample = gpu.tensor(values, shape);
  const near = gpu.tensor(
    values.map((value, at) => value + 0.05 * Math.sin(7 * at)),
    shape,
  );
  const labels = gpu.tensor([...recorded('native.labels').data], [2], 'u32');
  const options = { timestep: Number(recorded('native.timestep').data[0]), condition: { labels } };
  const samples = [sample, sample, near];
  const [dense, , denseNear] = await predictions(undefined, samples, options);
  const method = reTtention({ density: 1 / 4, warmupSteps: 0, cachePeriod: 4, ramp: 0 });
  const [cached, repeated, reused] = await predictions(method, samples, options);
  const [windowed, , windowedNear] = await predictions(windowAlone, samples, options);
  const tolerance = { absolute: 3e-5, relative: 1e-5 };
  assertClose(cached, dense, tolerance);
  assertClose(repeated, dense, tolerance);
  expect(distance(windowed, dense)).toBeGreaterThan(1e-3 * distance(dense, new Float32Array(dense.length)));
  expect(distance(reused, denseNear)).toBeGreaterThan(0);
  expect(distance(reused, denseNear)).toBeLessThan(0.2 * distance(windowedNear, denseNear));
  for (const tensor of [sample, near, labels]) tensor.dispose();
});

/** Two stages of as many steps, the second with another guidance, which makes the batch twice as large. */
const guidanceComes: Method = {
  name: 'guidance-comes',
  options: {},
  phases: ['denoise'],
  schedule: ({ stages: [first] }) => ({
    stages: [1, 3].map((guidanceScale) => ({ ...(first as DenoisingStage), steps: 4, guidanceScale })),
  }),
};

it('the first step of another stage gathers anew: with guidance the batch is another one', async () => {
  const calls: string[] = [];
  const watch: Method = {
    name: 'watch',
    options: {},
    phases: ['denoise'],
    attend({ step, layer, batch }, { options }, next) {
      if (layer === 0) calls.push(`${step?.index}: ${options.mask ? 'window' : 'dense'} of ${batch}`);
      return next();
    },
  };
  const method = reTtention({ density: 1 / 4, warmupSteps: 0, cachePeriod: 3 });
  const before = gpu.stats().liveBytes;
  (await pipeline.generate({ classLabel: 3, seed: 5, method: [guidanceComes, method, watch] })).dispose();
  expect(gpu.stats().liveBytes).toBe(before);
  const both = (index: number, batch: number) => [`${index}: dense of ${batch}`, `${index}: window of ${batch}`];
  expect(calls).toEqual([
    ...both(0, 1),
    ...['1: window of 1', '2: window of 1'],
    ...both(3, 1),
    ...both(4, 2),
    '5: window of 2',
    ...both(6, 2),
    '7: window of 2',
  ]);
});

it('a video: with every key it is the dense one, with a window in each frame near it', async () => {
  const weights = 'diffusion_pytorch_model.safetensors';
  const video = await loadDiffusionModel(
    gpu,
    modelFilesFromUrls('cogvideox', {
      'transformer/config.json': golden('cogvideox-rotary/config.json'),
      [`transformer/${weights}`]: golden(`cogvideox-rotary/${weights}`),
      'scheduler/scheduler_config.json': golden('cogvideox-scheduler.json'),
    }),
  );
  const caption = gpu.tensor(randomArray(5 * 20, 1), [5, 20]);
  const draw = async (method?: Method) => {
    const sizes = { height: 64, width: 96, frames: 2 };
    using result = await video.generate({
      ...{ captionEmbeddings: caption, guidance: 1, steps: 6, ...sizes, ...(method ? { method } : {}) },
    });
    return (await result.latents.read()) as Float32Array;
  };
  const early = { warmupSteps: 1, cachePeriod: 4, ramp: 0 } as const;
  const dense = await draw();
  assertClose(await draw(reTtention({ ...early, density: 1 })), dense, { absolute: 1e-4 });
  const near = distance(await draw(reTtention({ ...early, density: 0.2 })), dense);
  expect(near).toBeGreaterThan(0);
  expect(near).toBeLessThan(0.2 * distance(dense, new Float32Array(dense.length)));
  caption.dispose();
  video.dispose();
});

it('a whole run with guidance: dense until the first sparse step, and no memory is kept', async () => {
  const draw = async (steps: number, method?: Method) => {
    using images = await pipeline.generate({
      ...{ classLabel: 3, steps, seed: 5, guidance: 2 },
      ...(method ? { method } : {}),
    });
    return (await images.latents.read()) as Float32Array;
  };
  const method = reTtention({ density: 1 / 4, warmupSteps: 1, cachePeriod: 4 });
  const denseFew = await draw(2);
  const dense = await draw(6);
  const before = gpu.stats().liveBytes;
  assertClose(await draw(2, method), denseFew, { absolute: 1e-5 });
  assertClose(await draw(6, reTtention({ density: 1, warmupSteps: 1, cachePeriod: 4 })), dense, { absolute: 1e-4 });
  const sparse = await draw(6, method);
  expect(gpu.stats().liveBytes).toBe(before);
  expect(sparse.every(Number.isFinite)).toBe(true);
  expect(distance(sparse, dense)).toBeGreaterThan(0);
  expect(distance(sparse, dense)).toBeLessThan(0.5 * distance(dense, new Float32Array(dense.length)));
});

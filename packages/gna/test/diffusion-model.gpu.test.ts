import { readFileSync } from 'node:fs';
import { type Method, MethodRun, type Tensor } from '@saccade/core';
import { assertClose, parseGoldenTensors, sharedGpu } from '@saccade/core/testing';
import { type DiffusionModel, loadDiffusionModel, modelFilesFromUrls, type PredictOptions } from '@saccade/models';
import { expect, it } from 'vitest';
import { gna } from '../src/index.ts';

const gpu = await sharedGpu();
const golden = (path: string) => new URL(`../../models/test/golden/diffusion/${path}`, import.meta.url);

/** A pipeline of a small random checkpoint, and the tensors that were recorded with it. */
async function open(name: string) {
  const weights = 'diffusion_pytorch_model.safetensors';
  const pipeline = await loadDiffusionModel(
    gpu,
    modelFilesFromUrls(name, {
      'transformer/config.json': golden(`${name}/config.json`),
      [`transformer/${weights}`]: golden(`${name}/${weights}`),
      'scheduler/scheduler_config.json': golden('scheduler.json'),
    }),
  );
  return { pipeline, recorded: parseGoldenTensors(readFileSync(golden(`${name}/golden.safetensors`))) };
}

async function predict(model: DiffusionModel, method: Method, sample: Tensor, options: Omit<PredictOptions, 'run'>) {
  const run = await MethodRun.start(model, method);
  run.denoisingStep = { index: 1, count: 4, stage: 0, timestep: options.timestep };
  const output = model.predict(sample, { ...options, run });
  const values = (await output.read()) as Float32Array;
  output.dispose();
  run.dispose();
  return values;
}

/** The neighbourhood as a mask of the model's own attention. */
const masked = (window: readonly number[], start: number): Method => ({
  name: 'masked',
  options: {},
  phases: ['denoise'],
  attend({ model: { tokenGrid } }, _call, next) {
    const { frames, height, width } = tokenGrid as NonNullable<typeof tokenGrid>;
    const grid = [...(frames === undefined ? [] : [frames]), height, width];
    return next({ mask: { kind: 'neighbourhood', grid, window, start, others: 'seen' } });
  },
});

const difference = (a: Float32Array, b: Float32Array) =>
  a.reduce((most, value, at) => Math.max(most, Math.abs(value - (b[at] as number))), 0);

it('a DiT: the whole grid as window is the model itself, a smaller one its neighbourhood', async () => {
  const { pipeline, recorded } = await open('dit');
  const { data, shape } = recorded('native.sample');
  const sample = gpu.tensor(data as Float32Array, shape);
  const labels = gpu.tensor([...recorded('native.labels').data], [2], 'u32');
  const options = { timestep: Number(recorded('native.timestep').data[0]), condition: { labels } };
  const dense = recorded('native.output').data as Float32Array;
  const tolerance = { absolute: 3e-5, relative: 1e-5 };
  assertClose(await predict(pipeline.model, gna({ window: [4] }), sample, options), dense, tolerance);
  assertClose(await predict(pipeline.model, gna({ window: [3], denseSteps: 2 }), sample, options), dense, tolerance);
  const near = await predict(pipeline.model, gna({ window: [3, 2] }), sample, options);
  assertClose(near, await predict(pipeline.model, masked([3, 2], 0), sample, options), tolerance);
  expect(difference(near, dense)).toBeGreaterThan(0.01);
  for (const tensor of [sample, labels]) tensor.dispose();
  pipeline.dispose();
});

it('CogVideoX: frames, rows and columns, and the text before them', async () => {
  const { pipeline, recorded } = await open('cogvideox-rotary');
  const [sample, captions] = ['sample', 'captions'].map((part) => {
    const { data, shape } = recorded(`native.${part}`);
    return gpu.tensor(data as Float32Array, shape);
  }) as [Tensor, Tensor];
  const options = { timestep: Number(recorded('native.timestep').data[0]), condition: { captions } };
  const near = await predict(pipeline.model, gna({ window: [2, 3, 3] }), sample, options);
  const tolerance = { absolute: 5e-5, relative: 1e-5 };
  assertClose(near, await predict(pipeline.model, masked([2, 3, 3], 5), sample, options), tolerance);
  expect(difference(near, recorded('native.output').data as Float32Array)).toBeGreaterThan(1e-3);
  for (const tensor of [sample, captions]) tensor.dispose();
  pipeline.dispose();
});

it('a whole run, its first step dense', async () => {
  const { pipeline } = await open('dit');
  const run = async (method?: Method) => {
    using images = await pipeline.generate({ classLabel: 3, steps: 3, seed: 5, ...(method ? { method } : {}) });
    return (await images.latents.read()) as Float32Array;
  };
  const dense = await run();
  expect(difference(await run(gna({ window: [2], denseSteps: 3 })), dense)).toBe(0);
  const near = await run(gna({ window: [2], denseSteps: 1 }));
  expect(near.every(Number.isFinite)).toBe(true);
  expect(difference(near, dense)).toBeGreaterThan(1e-3);
  pipeline.dispose();
});

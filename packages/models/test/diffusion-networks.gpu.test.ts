import { readFileSync } from 'node:fs';
import { type Gpu, type Method, MethodRun, ShapeError, type Tensor } from '@saccade/core';
import { assertClose, parseGoldenTensors, sharedGpu } from '@saccade/core/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DiffusionModel } from '../src/diffusion/model/diffusion-model.ts';
import { loadNetwork } from '../src/diffusion/networks/load-network.ts';
import { goldenModel, goldenPath } from './golden-folder.ts';

const folder = (name: string) => `diffusion/${name}`;

async function open(name: string): Promise<DiffusionModel> {
  return new DiffusionModel(await loadNetwork(await sharedGpu(), name, await goldenModel(folder(name))));
}

const goldenTensors = (name: string) =>
  parseGoldenTensors(readFileSync(`${goldenPath(folder(name))}/golden.safetensors`));

async function values(tensor: Tensor): Promise<Float32Array> {
  const read = (await tensor.read()) as Float32Array;
  tensor.dispose();
  return read;
}

/** Outputs are of size 1 to 4. */
const tolerance = { absolute: 2e-5, relative: 1e-5 };

describe('DiT', () => {
  let gpu: Gpu;
  let model: DiffusionModel;
  const golden = goldenTensors('dit');
  const input = (name: string) => {
    const { data, shape } = golden(`${name}.sample`);
    return {
      sample: gpu.tensor(data as Float32Array, shape),
      labels: gpu.tensor([...golden(`${name}.labels`).data], [2], 'u32'),
      timestep: Number(golden(`${name}.timestep`).data[0]),
    };
  };

  beforeAll(async () => {
    model = await open('dit');
    gpu = model.gpu;
  });

  afterAll(() => model.dispose());

  it.each(['native', 'larger'])('gives diffusers’ output at the %s size', async (name) => {
    const { sample, labels, timestep } = input(name);
    const output = model.predict(sample, { timestep, condition: { labels } });
    expect(output.shape).toEqual(golden(`${name}.output`).shape);
    assertClose(await values(output), golden(`${name}.output`).data as Float32Array, tolerance);
    sample.dispose();
    labels.dispose();
  });

  it('shows methods its layers with step, batch and grid, and takes what they change', async () => {
    const { sample, labels, timestep } = input('native');
    // The first pass of a size leaves its position embedding.
    await values(model.predict(sample, { timestep, condition: { labels } }));
    const before = gpu.stats().liveBytes;
    const seen: unknown[] = [];
    const watching: Method = {
      name: 'watching',
      options: {},
      phases: ['denoise'],
      requires: { phases: ['denoise'], direction: 'bidirectional', globalLayers: 2 },
      transformQKV: { beforeRope: (_, { v }) => ({ v }), afterRope: (_, { q }) => ({ q }) },
      attend({ layer, step, batch, queryLength, keyLength, model: { tokenGrid } }, call, next) {
        seen.push([
          layer,
          step?.index,
          batch,
          queryLength,
          keyLength,
          tokenGrid?.height,
          tokenGrid?.width,
          call.q.shape,
        ]);
        return next();
      },
    };
    const window: Method = { ...watching, name: 'window', attend: (_, _call, next) => next({ slidingWindow: 1 }) };
    const through = async (method: Method) => {
      const run = await MethodRun.start(model, method);
      run.denoisingStep = { index: 3, count: 10, stage: 0, timestep };
      const output = await values(model.predict(sample, { timestep, condition: { labels }, run }));
      run.dispose();
      return output;
    };
    const dense = golden('native.output').data as Float32Array;
    assertClose(await through(watching), dense, tolerance);
    const place = [3, 2, 16, 16, 4, 4, [2, 2, 16, 16]];
    expect(seen).toEqual([
      [0, ...place],
      [1, ...place],
    ]);
    expect(
      Math.max(...(await through(window)).map((value, at) => Math.abs(value - (dense[at] as number)))),
    ).toBeGreaterThan(0.01);
    expect(gpu.stats().liveBytes).toBe(before);
    sample.dispose();
    labels.dispose();
  });

  it('names its activations', async () => {
    const { sample, labels, timestep } = input('native');
    const shapes: Record<string, readonly number[]> = {};
    const observe = {
      '**': (value: Tensor, site: { name: string }) => {
        shapes[site.name] = value.shape;
      },
    };
    await values(model.predict(sample, { timestep, condition: { labels }, observe }));
    expect(shapes).toMatchObject({
      embedding: [32, 32],
      'blocks.1.attention.q': [32, 2, 16],
      'blocks.1.attention.output': [32, 32],
      'blocks.0.mlp.post': [32, 128],
      finalNorm: [32, 32],
    });
    sample.dispose();
    labels.dispose();
  });

  it('refuses other samples and what only language models have', () => {
    const { sample, labels } = input('native');
    const condition = { labels };
    const predict = (shape: readonly number[]) => () =>
      gpu.tidy(() => model.predict(gpu.zeros(shape), { timestep: 1, condition }));
    expect(predict([2, 3, 8, 8])).toThrow(ShapeError);
    expect(predict([2, 4, 9, 8])).toThrow(/height of the sample.*multiple of 2/);
    expect(predict([3, 4, 8, 8])).toThrow(/labels are u32\[2\] for 3 samples/);
    expect(() => model.predict(sample, { timestep: Number.NaN, condition })).toThrow(/timestep/);
    expect(() => model.generate()).toThrow(/dit is a diffusion model/);
    sample.dispose();
    labels.dispose();
  });
});

describe.each(['pixart-alpha', 'pixart-sigma'])('%s', (name) => {
  it('gives diffusers’ output for captions of unequal length on an oblong image', async () => {
    const golden = goldenTensors(name);
    const model = await open(name);
    const { gpu } = model;
    const tensor = (part: string) => gpu.tensor(golden(part).data as Float32Array, golden(part).shape);
    const predict = async () => {
      const output = gpu.tidy(() => {
        const captionLengths = gpu.tensor([...golden('lengths').data], [2], 'u32');
        const condition = { captions: tensor('captions'), captionLengths };
        return model.predict(tensor('sample'), { timestep: Number(golden('timestep').data[0]), condition });
      });
      return values(output);
    };
    assertClose(await predict(), golden('output').data as Float32Array, tolerance);
    const before = gpu.stats().liveBytes;
    await predict();
    expect(gpu.stats().liveBytes).toBe(before);
    model.dispose();
  });

  it('calls methods for self-attention alone', async () => {
    const model = await open(name);
    const { gpu } = model;
    const calls: number[][] = [];
    const watching: Method = {
      name: 'watching',
      options: {},
      phases: ['denoise'],
      attend({ layer, keyLength }, call, next) {
        calls.push([layer, keyLength, call.q.shape[2] as number]);
        return next();
      },
    };
    const run = await MethodRun.start(model, watching);
    gpu.tidy(() => {
      model.predict(gpu.zeros([1, 4, 8, 8]), { timestep: 1, condition: { captions: gpu.zeros([1, 5, 20]) }, run });
    });
    run.dispose();
    expect(calls).toEqual([
      [0, 16, 16],
      [1, 16, 16],
    ]);
    const wrong = (condition: object) => () =>
      gpu.tidy(() => model.predict(gpu.zeros([1, 4, 8, 8]), { timestep: 1, condition }));
    expect(wrong({})).toThrow(/captions.*f32 \[B, T, 20\]/);
    const captions = gpu.zeros([2, 5, 20]);
    expect(wrong({ captions })).toThrow(ShapeError);
    captions.dispose();
    model.dispose();
  });
});

describe.each(['cogvideox-sincos', 'cogvideox-rotary'])('%s', (name) => {
  it.each(['native', 'other'])('gives diffusers’ output for text and video tokens at the %s size', async (size) => {
    const golden = goldenTensors(name);
    const model = await open(name);
    const { gpu } = model;
    const tensor = (part: string) =>
      gpu.tensor(golden(`${size}.${part}`).data as Float32Array, golden(`${size}.${part}`).shape);
    const grids: unknown[] = [];
    const watching: Method = {
      name: 'watching',
      options: {},
      phases: ['denoise'],
      attend({ model: { tokenGrid }, queryLength }, _call, next) {
        grids.push([tokenGrid, queryLength]);
        return next();
      },
    };
    const run = await MethodRun.start(model, watching);
    const timestep = Number(golden(`${size}.timestep`).data[0]);
    const output = gpu.tidy(() =>
      model.predict(tensor('sample'), { timestep, condition: { captions: tensor('captions') }, run }),
    );
    run.dispose();
    assertClose(await values(output), golden(`${size}.output`).data as Float32Array, tolerance);
    const [frames, height, width] = size === 'native' ? [3, 4, 6] : [2, 6, 4];
    expect(grids[0]).toEqual([{ frames, height, width, textTokens: 5, textFirst: true }, 5 + frames * height * width]);
    model.dispose();
  });
});

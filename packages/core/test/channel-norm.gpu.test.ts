import { describe, expect, it } from 'vitest';
import * as ad from '../src/autodiff/index.ts';
import { ArgumentError, batchNorm, channelMoments, groupNorm, ShapeError } from '../src/index.ts';
import { BatchNorm, Initializer, Module, moduleGradients } from '../src/nn/index.ts';
import {
  assertClose,
  channelNormReference,
  checkGradient,
  modestGpu,
  randomArray,
  sharedGpu,
} from '../src/testing/index.ts';

describe.each([
  ['full', sharedGpu],
  ['modest', modestGpu],
] as const)('norms over channels on the %s device', (_, open) => {
  const parameters = (channels: number) => [
    { shape: [channels], data: randomArray(channels, 2).map((value) => 1 + value / 2) },
    { shape: [channels], data: randomArray(channels, 3) },
  ];

  it('batch norm by its own moments: of images, and of plain rows', async () => {
    const gpu = await open();
    const before = gpu.stats().liveBytes;
    for (const shape of [
      [3, 4, 5, 2],
      [9, 5],
    ]) {
      const [images = 0, channels = 0, ...rest] = shape;
      const positions = rest.reduce((product, size) => product * size, 1);
      const data = randomArray(images * channels * positions, 1).map((value) => 20 + value);
      await checkGradient(gpu, {
        name: `[${shape}]`,
        inputs: [{ shape, data }, ...parameters(channels)],
        fn: (...inputs) => {
          const [x, weight, bias] = inputs as [ad.Tracked, ad.Tracked, ad.Tracked];
          const moments = channelMoments(x.tensor);
          return ad.batchNorm(x, moments, { weight, bias, momentsOfInput: true });
        },
        reference: (...inputs) => {
          const [x, weight, bias] = inputs as [Float64Array, Float64Array, Float64Array];
          return channelNormReference(x, weight, bias, { images, channels, positions }, 1e-5);
        },
      });
    }
    expect(gpu.stats().liveBytes).toBe(before);
  });

  it('batch norm by given moments', async () => {
    const gpu = await open();
    const [mean, variance] = [
      [0.5, -1, 2],
      [1, 4, 0.25],
    ];
    const moments = { mean: gpu.tensor(mean as number[]), variance: gpu.tensor(variance as number[]) };
    await checkGradient(gpu, {
      inputs: [{ shape: [2, 3, 4], data: randomArray(24, 1) }, ...parameters(3)],
      fn: (x, weight, bias) =>
        ad.batchNorm(x as ad.Tracked, moments, { weight: weight as ad.Tracked, bias: bias as ad.Tracked }),
      reference: (x, weight, bias) =>
        (x as Float64Array).map((value, at) => {
          const channel = Math.floor(at / 4) % 3;
          const normal = (value - (mean?.[channel] as number)) / Math.sqrt((variance?.[channel] as number) + 1e-5);
          return normal * (weight?.[channel] as number) + (bias?.[channel] as number);
        }),
    });
    moments.mean.dispose();
    moments.variance.dispose();
  });

  it('group norm, with and without parameters', async () => {
    const gpu = await open();
    const before = gpu.stats().liveBytes;
    const sizes = { images: 2, channels: 6, positions: 10, groups: 3 };
    const x = { shape: [2, 6, 5, 2], data: randomArray(120, 1).map((value, at) => value + (at % 7)) };
    await checkGradient(gpu, {
      inputs: [x, ...parameters(6)],
      fn: (a, weight, bias) =>
        ad.groupNorm(a as ad.Tracked, 3, { weight: weight as ad.Tracked, bias: bias as ad.Tracked }),
      reference: (a, weight, bias) =>
        channelNormReference(a as Float64Array, weight as Float64Array, bias as Float64Array, sizes, 1e-5),
    });
    const [ones, zeros] = [new Float64Array(6).fill(1), new Float64Array(6)];
    await checkGradient(gpu, {
      name: 'without parameters, one group per channel',
      inputs: [x],
      fn: (a) => ad.groupNorm(a, 6),
      reference: (a) => channelNormReference(a, ones, zeros, { ...sizes, groups: 6 }, 1e-5),
    });
    expect(gpu.stats().liveBytes).toBe(before);
  });
});

it('a batch norm tracks its batches while it trains, and uses what it tracked afterwards', async () => {
  const gpu = await sharedGpu();
  const before = gpu.stats().liveBytes;
  class Model extends Module {
    readonly norms: BatchNorm[];
    constructor(init: Initializer) {
      super();
      this.norms = [new BatchNorm(init, { size: 2, momentum: 0.5 })];
    }
  }
  const model = new Model(new Initializer(gpu));
  const norm = model.norms[0] as BatchNorm;
  const x = gpu.tensor([1, 10, 3, 30], [2, 2]);
  const { loss, gradients } = moduleGradients(model, () => ad.mean(ad.square(norm.forward(x))));
  expect(Object.keys(gradients)).toEqual(['norms.0.weight', 'norms.0.bias']);
  // Means 2 and 20; unbiased variances 2 and 200; half of the way from 0 and 1.
  assertClose(await norm.running_mean.tensor.read(), [1, 10], { relative: 1e-6 });
  assertClose(await norm.running_var.tensor.read(), [1.5, 100.5], { relative: 1e-6 });
  expect(await norm.num_batches_tracked.tensor.read()).toEqual(new Int32Array([1]));
  model.eval();
  expect(norm.training).toBe(false);
  const out = ad.stopGradient(norm.forward(x));
  assertClose(await out.read(), [0, 0, 2 / Math.sqrt(1.5), 20 / Math.sqrt(100.5)], { absolute: 1e-4 });
  expect(await norm.num_batches_tracked.tensor.read()).toEqual(new Int32Array([1]));
  expect(model.train().norms[0]?.training).toBe(true);
  for (const tensor of [x, out, loss, ...Object.values(gradients)]) tensor.dispose();
  model.dispose();
  expect(gpu.stats().liveBytes).toBe(before);
});

it('errors name the op and both shapes', async () => {
  const gpu = await sharedGpu();
  gpu.tidy(() => {
    const [x, three] = [gpu.zeros([2, 4, 3]), gpu.zeros([3])];
    expect(() => groupNorm(x, 3)).toThrow(ArgumentError);
    expect(() => groupNorm(x, 2, { weight: three })).toThrow(/groupNorm: weight is \[3\]; x \[2,4,3\] asks for \[4\]/);
    expect(() => batchNorm(x, { mean: three, variance: three })).toThrow(ShapeError);
    expect(() => channelMoments(three)).toThrow(ShapeError);
  });
});

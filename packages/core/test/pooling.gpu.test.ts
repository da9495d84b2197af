import { describe, expect, it } from 'vitest';
import * as ad from '../src/autodiff/index.ts';
import { ArgumentError, adaptiveAvgPool2d, avgPool2d, maxPool1d, maxPool2d, ShapeError } from '../src/index.ts';
import {
  adaptivePoolReference,
  checkGradient,
  modestGpu,
  poolReference,
  randomArray,
  sharedGpu,
} from '../src/testing/index.ts';

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
const x = { shape: [2, 2, 7, 5], data: randomArray(140, 1) };

describe.each([
  ['full', sharedGpu],
  ['modest', modestGpu],
] as const)('pools on the %s device', (_, open) => {
  it('maxima and means of windows: values and gradients', async () => {
    const gpu = await open();
    const before = gpu.stats().liveBytes;
    const window = { kernel: [3, 2], stride: [2, 1], padding: [1, 1] } as const;
    const sizes = { planes: 4, size: [7, 5], ...window } as const;
    await checkGradient(gpu, {
      name: 'maxPool2d',
      inputs: [x],
      fn: (a) => ad.maxPool2d(a, { ...window, dilation: [1, 2] }),
      reference: (a) => poolReference(a, { ...sizes, dilation: [1, 2] }, (inside) => Math.max(...inside)),
    });
    await checkGradient(gpu, {
      name: 'avgPool2d',
      inputs: [x],
      fn: (a) => ad.avgPool2d(a, window),
      reference: (a) => poolReference(a, sizes, (inside) => inside.reduce((p, q) => p + q, 0) / 6),
    });
    await checkGradient(gpu, {
      name: 'avgPool2d without the padding',
      inputs: [x],
      fn: (a) => ad.avgPool2d(a, { ...window, countIncludePad: false }),
      reference: (a) => poolReference(a, sizes, mean),
    });
    const signal = { planes: 10, size: [1, 14], kernel: [1, 3], stride: [1, 3] } as const;
    await checkGradient(gpu, {
      name: 'maxPool1d of a transposed view',
      inputs: [{ shape: [2, 14, 5], data: x.data }],
      fn: (a) => ad.maxPool1d(a.transpose(), { kernel: 3 }),
      reference: (a) => {
        const rows = Float64Array.from(
          { length: 140 },
          (__, at) => a[Math.floor(at / 70) * 70 + (at % 14) * 5 + (Math.floor(at / 14) % 5)] as number,
        );
        return poolReference(rows, signal, (inside) => Math.max(...inside));
      },
    });
    await checkGradient(gpu, {
      name: 'avgPool1d',
      inputs: [{ shape: [2, 5, 14], data: x.data }],
      fn: (a) => ad.avgPool1d(a, { kernel: 3 }),
      reference: (a) => poolReference(a, signal, mean),
    });
    expect(gpu.stats().liveBytes).toBe(before);
  });

  it('adaptive means: to one, uneven, and more parts than elements', async () => {
    const gpu = await open();
    for (const size of [
      [1, 1],
      [3, 4],
      [9, 2],
    ] as const) {
      await checkGradient(gpu, {
        name: `to ${size}`,
        inputs: [x],
        fn: (a) => ad.adaptiveAvgPool2d(a, size),
        reference: (a) => adaptivePoolReference(a, 4, [7, 5], size),
      });
    }
  });
});

it('of equal largest elements the first gets the gradient', async () => {
  const gpu = await sharedGpu();
  const equal = gpu.tensor([1, 2, 2, 2, 2, 0], [1, 1, 6]);
  const { value, gradients } = ad.valueAndGrad((a) => ad.sum(ad.maxPool1d(a, { kernel: 4, stride: 2 })), equal);
  expect([...(await gradients[0].read())]).toEqual([0, 1, 1, 0, 0, 0]);
  for (const tensor of [equal, value, ...gradients]) tensor.dispose();
});

it('errors name the op and what it takes', async () => {
  const gpu = await sharedGpu();
  gpu.tidy(() => {
    const image = gpu.zeros([1, 2, 4, 4]);
    expect(() => maxPool1d(image, { kernel: 2 })).toThrow(/maxPool1d: x is \[1,2,4,4\]; expected \[B, C, L\]/);
    expect(() => maxPool2d(image, { kernel: 5 })).toThrow(ShapeError);
    expect(() => avgPool2d(image, { kernel: 2, padding: 2 })).toThrow(ArgumentError);
    expect(() => avgPool2d(image, { kernel: 0 })).toThrow(ArgumentError);
    expect(() => adaptiveAvgPool2d(image, [1, 2, 3])).toThrow(ArgumentError);
  });
});

import { describe, expect, it } from 'vitest';
import * as ad from '../src/autodiff/index.ts';
import { ArgumentError, conv1d, conv2d, convTranspose2d, ShapeError } from '../src/index.ts';
import { columnTiles } from '../src/ops/convolution/columns.ts';
import { convolve, convolveInputGradient, convolveWeightGradient } from '../src/ops/convolution/convolve.ts';
import { hardwareKernelsGpu } from '../src/testing/hardware-kernels-gpu.ts';
import {
  assertClose,
  type ConvolutionReferenceSizes,
  checkGradient,
  convolutionReference,
  modestGpu,
  randomArray,
  sharedGpu,
  transposedConvolutionReference,
} from '../src/testing/index.ts';

type Shape = readonly number[];
const random = (shape: Shape, seed: number) => ({
  shape,
  data: randomArray(
    shape.reduce((product, size) => product * size, 1),
    seed,
  ),
});

const cases: Readonly<Record<string, ConvolutionReferenceSizes>> = {
  'a stem: strided, padded, dilated': {
    images: 2,
    inputs: 3,
    outputs: 6,
    size: [7, 9],
    kernel: [3, 2],
    stride: [2, 1],
    padding: [1, 2],
    dilation: [2, 3],
  },
  'one output': { images: 1, inputs: 5, outputs: 1, size: [5, 6], kernel: [3, 3], padding: [1, 1] },
  pointwise: { images: 2, inputs: 3, outputs: 7, size: [4, 3], kernel: [1, 1] },
  grouped: { images: 1, inputs: 4, outputs: 10, size: [6, 5], kernel: [2, 3], groups: 2, stride: [1, 2] },
  depthwise: {
    images: 2,
    inputs: 3,
    outputs: 3,
    size: [6, 5],
    kernel: [3, 3],
    groups: 3,
    padding: [1, 1],
    stride: [2, 2],
  },
};

describe.each([
  ['full', sharedGpu],
  ['modest', modestGpu],
  ['hardware kernels', hardwareKernelsGpu],
] as const)('convolutions on the %s device', (_, open) => {
  it.each(Object.keys(cases))('%s: value and gradients', async (name) => {
    const gpu = await open();
    const before = gpu.stats().liveBytes;
    const sizes = cases[name] as ConvolutionReferenceSizes;
    const { images, inputs, outputs, size, kernel, groups = 1, ...options } = sizes;
    await checkGradient(gpu, {
      name,
      inputs: [
        random([images, inputs, ...size], 1),
        random([outputs, inputs / groups, ...kernel], 2),
        random([outputs], 3),
      ],
      fn: (x, weight, bias) => ad.conv2d(x, weight, { bias, groups, ...options }),
      reference: (x, weight, bias) => convolutionReference(x, weight, sizes, bias),
    });
    expect(gpu.stats().liveBytes).toBe(before);
  });

  it.each([
    ['many channels', { inputs: 6, outputs: 4, groups: 2, outputPadding: [1, 0] }],
    ['per channel', { inputs: 2, outputs: 2, groups: 2, outputPadding: [0, 1] }],
    ['one group', { inputs: 5, outputs: 3, groups: 1, outputPadding: [0, 0] }],
  ] as const)('transposed, %s: value and gradients', async (name, { inputs, outputs, groups, outputPadding }) => {
    const gpu = await open();
    const options = { stride: [2, 3], padding: [1, 0], dilation: [1, 2], outputPadding } as const;
    const sizes = { images: 2, inputs, outputs, groups, size: [3, 4], kernel: [3, 2], ...options } as const;
    await checkGradient(gpu, {
      name,
      inputs: [random([2, inputs, 3, 4], 4), random([inputs, outputs / groups, 3, 2], 5), random([outputs], 6)],
      fn: (x, weight, bias) => ad.convTranspose2d(x, weight, { bias, groups, ...options }),
      reference: (x, weight, bias) => transposedConvolutionReference(x, weight, sizes, bias),
    });
  });

  it('signals', async () => {
    const gpu = await open();
    const sizes = { images: 2, inputs: 6, outputs: 8, size: [1, 11], kernel: [1, 4] } as const;
    const [x, weight] = [random([2, 6, 11], 7), random([8, 6, 4], 8)];
    await checkGradient(gpu, {
      name: 'conv1d',
      inputs: [x, weight],
      fn: (a, w) => ad.conv1d(a, w, { stride: 3, padding: 2 }),
      reference: (a, w) => convolutionReference(a, w, { ...sizes, stride: [1, 3], padding: [0, 2] }),
    });
    await checkGradient(gpu, {
      name: 'convTranspose1d',
      inputs: [x, random([6, 8, 4], 8)],
      fn: (a, w) => ad.convTranspose1d(a, w, { stride: 2, padding: 1, outputPadding: 1 }),
      reference: (a, w) =>
        transposedConvolutionReference(a, w, { ...sizes, stride: [1, 2], padding: [0, 1], outputPadding: [0, 1] }),
    });
  });

  // On hardware's kernels the 16-bit product takes a software adapter seconds to compile.
  it.skipIf(open === hardwareKernelsGpu)('a strided view and a 16-bit weight', async () => {
    const gpu = await open();
    const sizes = { images: 2, inputs: 6, outputs: 8, size: [1, 11], kernel: [1, 4] } as const;
    const [x, weight] = [random([2, 6, 11], 7), random([8, 6, 4], 8)];
    const halves = weight.data.map((value) => Math.round(value * 64) / 64);
    const out = gpu.tidy(() => {
      const transposed = gpu.tensor(x.data, [2, 11, 6]).transpose();
      return conv1d(transposed, gpu.tensor(halves, weight.shape, 'f16'));
    });
    const rows = Float64Array.from({ length: 132 }, (__, at) => {
      const [image, channel, place] = [Math.floor(at / 66), Math.floor((at % 66) / 11), at % 11];
      return x.data[image * 66 + place * 6 + channel] as number;
    });
    assertClose(await out.read(), convolutionReference(rows, halves, sizes), { absolute: 1e-5 });
    out.dispose();
  });

  it('tiles that cut images agree with one product', async () => {
    const gpu = await open();
    const before = gpu.stats().liveBytes;
    for (const pointwise of [false, true]) {
      const around = pointwise ? 0 : 1;
      const sizes = {
        images: 3,
        inputs: 4,
        outputs: 6,
        groups: 1,
        size: [7, 9],
        kernel: [1 + 2 * around, 1 + 2 * around],
        stride: [1, 1],
        padding: [around, around],
        dilation: [1, 1],
        outSize: [7, 9],
      } as const;
      const rowBytes = 4 * 4 * 9 * sizes.kernel[0] ** 2;
      const rows = columnTiles(sizes, 3.5 * rowBytes);
      const whole = columnTiles(sizes, 15 * rowBytes);
      expect(rows.slice(0, 3).map(({ images, firstRow, rows }) => [images, firstRow, rows])).toEqual([
        [1, 0, 3],
        [1, 3, 3],
        [1, 6, 1],
      ]);
      expect(whole.map(({ firstImage, images, rows }) => [firstImage, images, rows])).toEqual([
        [0, 2, 7],
        [2, 1, 7],
      ]);
      const results = gpu.tidy(() => {
        const make = ({ data, shape }: ReturnType<typeof random>) => gpu.tensor(data, shape);
        const [x, gradient] = [make(random([3, 4, 7, 9], 9)), make(random([3, 6, 7, 9], 10))];
        const weight = make(random([6, 4, ...sizes.kernel], 11));
        return [columnTiles(sizes), rows, whole].map((tiles) => [
          convolve(x, weight, sizes, tiles),
          convolveInputGradient(gradient, weight, sizes, tiles),
          convolveWeightGradient(x, gradient, sizes, tiles),
        ]);
      });
      const [expected = [], ...others] = await Promise.all(results.map((each) => gpu.read(each)));
      for (const found of others) {
        expected.forEach((numbers, index) => {
          assertClose(found[index] as ArrayLike<number>, numbers, { absolute: 1e-4, name: `result ${index}` });
        });
      }
      for (const tensor of results.flat()) tensor.dispose();
    }
    expect(gpu.stats().liveBytes).toBe(before);
  });
});

it('errors name the op and both shapes', async () => {
  const gpu = await sharedGpu();
  gpu.tidy(() => {
    const [x, weight, bias] = [gpu.zeros([1, 3, 4, 4]), gpu.zeros([2, 3, 3, 3]), gpu.zeros([3])];
    expect(() => conv2d(x, gpu.zeros([2, 4, 3, 3]))).toThrow(/conv2d: x \[1,3,4,4\] and weight \[2,4,3,3\]/);
    expect(() => conv2d(x, weight, { groups: 2 })).toThrow(ShapeError);
    expect(() => conv2d(x, weight, { groups: 0 })).toThrow(ArgumentError);
    expect(() => conv2d(x, weight, { bias })).toThrow(/bias has shape \[3\]; the weight \[2,3,3,3\]/);
    expect(() => conv2d(x, weight, { dilation: 2 })).toThrow(/does not fit into \[4,4\]/);
    expect(() => conv2d(x, weight, { stride: 0 })).toThrow(ArgumentError);
    expect(() => conv2d(x, weight, { padding: [1] })).toThrow(ArgumentError);
    expect(() => conv1d(x, weight)).toThrow(ShapeError);
    expect(() => conv2d(gpu.zeros([1, 3, 4, 4], 'u32'), weight)).toThrow(ShapeError);
    expect(() => convTranspose2d(x, gpu.zeros([3, 2, 3, 3]), { stride: 2, outputPadding: 2 })).toThrow(ArgumentError);
  });
});

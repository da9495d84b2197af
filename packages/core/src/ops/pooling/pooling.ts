import type { Dtype } from '../../tensor/dtype.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { cast, contiguous } from '../copy.ts';
import { defineElementKernel, floatBindings, launchElements } from '../element-kernel.ts';
import {
  type ImageSizes,
  imageParameters,
  imageValues,
  outputPlace,
  overWindow,
  type PerAxis,
  perAxis,
} from '../windows.ts';
import { type AveragePoolOptions, checkImages, type MaxPoolOptions, type PoolSizes, poolSizes } from './sizes.ts';

/** `maxIndex` is the place of the largest element in its plane; `inside` divides by the elements that are no padding. */
type Pool = 'max' | 'maxIndex' | 'average' | 'averageInside';

const visits: Readonly<Record<Pool, string>> = {
  max: 'if (count == 0.0 || value > best) { best = value; } count = 1.0;',
  maxIndex: 'if (count == 0.0 || value > best) { best = value; place = y * params.width + x; } count = 1.0;',
  average: 'best += value;',
  averageInside: 'best += value; count += 1.0;',
};

const results: Readonly<Record<Pool, string>> = {
  max: 'best',
  maxIndex: 'place',
  average: 'best / f32(params.kernel_height * params.kernel_width)',
  averageInside: 'best / count',
};

/** One invocation per window; of equal largest elements the first one counts. */
const poolKernel = defineElementKernel<{ readonly pool: Pool }>({
  name: 'pool',
  bindings: ({ pool }) => [
    { name: 'image', type: 'array<f32>', access: 'read' },
    { name: 'out', type: pool === 'maxIndex' ? 'array<u32>' : 'array<f32>', access: 'read_write' },
  ],
  parameters: imageParameters,
  main: ({ pool }) => `${outputPlace}
  let from_image = plane * params.height * params.width;
  var best = 0.0;
  var count = 0.0;
  var place = 0u;
  ${overWindow(`let value = image[from_image + y * params.width + x];
      ${visits[pool]}`)}
  out[at] = ${results[pool]};`,
});

/** One invocation per output: the mean over [floor(o n / m), ceil((o + 1) n / m)) of both axes. */
const adaptiveKernel = defineElementKernel({
  name: 'adaptivePool',
  bindings: () => floatBindings(['image'], ['out']),
  parameters: imageParameters,
  main: () => `${outputPlace}
  let from_image = plane * params.height * params.width;
  let first_y = oy * params.height / params.out_height;
  let first_x = ox * params.width / params.out_width;
  let end_y = ((oy + 1u) * params.height + params.out_height - 1u) / params.out_height;
  let end_x = ((ox + 1u) * params.width + params.out_width - 1u) / params.out_width;
  var sum = 0.0;
  for (var y = first_y; y < end_y; y++) {
    for (var x = first_x; x < end_x; x++) { sum += image[from_image + y * params.width + x]; }
  }
  out[at] = sum / f32((end_y - first_y) * (end_x - first_x));`,
});

/** The window of an adaptive pool differs from place to place; kernels read the sizes alone. */
export function adaptiveSizes({ size, outSize }: ImageSizes, planes: number): PoolSizes {
  return { planes, size, outSize, kernel: [1, 1], stride: [1, 1], padding: [0, 0], dilation: [1, 1] };
}

/** The pool `pool` of f32 planes. */
export function launchPool(x: Tensor, sizes: PoolSizes, pool: Pool | 'adaptive', shape: readonly number[]): Tensor {
  const { gpu } = x;
  const dtype: Dtype = pool === 'maxIndex' ? 'u32' : 'f32';
  return gpu.tidy(() => {
    const out = gpu.empty(shape, dtype);
    const launch = {
      bindings: [contiguous(cast(x, 'f32')), out],
      parameters: imageValues(1, sizes),
      cost: { flops: pool === 'adaptive' ? x.size : out.size * sizes.kernel[0] * sizes.kernel[1], bytes: 4 * x.size },
    };
    if (pool === 'adaptive') launchElements(gpu, adaptiveKernel, {}, out.size, launch);
    else launchElements(gpu, poolKernel, { pool }, out.size, launch);
    return out;
  });
}

/** The shape of a pool's output. */
export function pooledShape(x: Tensor, { outSize }: ImageSizes): number[] {
  return [...x.shape.slice(0, 2), ...(x.rank === 3 ? outSize.slice(1) : outSize)];
}

function maxPool(operation: string, x: Tensor, rank: 1 | 2, options: MaxPoolOptions): Tensor {
  const sizes = poolSizes(operation, x.shape, rank, options);
  return launchPool(x, sizes, 'max', pooledShape(x, sizes));
}

function averagePool(operation: string, x: Tensor, rank: 1 | 2, options: AveragePoolOptions): Tensor {
  const { countIncludePad = true, ...window } = options;
  const sizes = poolSizes(operation, x.shape, rank, window);
  return launchPool(x, sizes, countIncludePad ? 'average' : 'averageInside', pooledShape(x, sizes));
}

/*
 * Pools throw ShapeError for an x of another rank or a window that does not fit, and ArgumentError for an option out of its range.
 * Windows are those of PyTorch with `ceil_mode=False`.
 */

/** The largest element of each window. @param x floats [B, C, L] @returns f32 [B, C, L'] */
export function maxPool1d(x: Tensor, options: MaxPoolOptions): Tensor {
  return maxPool('maxPool1d', x, 1, options);
}

/** The largest element of each window. @param x floats [B, C, H, W] @returns f32 [B, C, H', W'] */
export function maxPool2d(x: Tensor, options: MaxPoolOptions): Tensor {
  return maxPool('maxPool2d', x, 2, options);
}

/** The mean of each window. @param x floats [B, C, L] @returns f32 [B, C, L'] */
export function avgPool1d(x: Tensor, options: AveragePoolOptions): Tensor {
  return averagePool('avgPool1d', x, 1, options);
}

/** The mean of each window. @param x floats [B, C, H, W] @returns f32 [B, C, H', W'] */
export function avgPool2d(x: Tensor, options: AveragePoolOptions): Tensor {
  return averagePool('avgPool2d', x, 2, options);
}

/**
 * Means over windows that divide an image into `size` parts, overlapping where it does not divide evenly.
 *
 * @param x floats [B, C, H, W]
 * @param size [H', W'], or one number for both
 * @returns f32 [B, C, H', W']
 */
export function adaptiveAvgPool2d(x: Tensor, size: PerAxis): Tensor {
  const operation = 'adaptiveAvgPool2d';
  const outSize = perAxis(`${operation}: size`, size, 2, { least: 1, row: 1 });
  const sizes = { size: checkImages(operation, x.shape, 2), outSize };
  const planes = (x.shape[0] as number) * (x.shape[1] as number);
  return launchPool(x, adaptiveSizes(sizes, planes), 'adaptive', pooledShape(x, sizes));
}

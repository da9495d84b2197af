import type { Shape } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { contiguous } from '../copy.ts';
import { defineElementKernel, launchElements } from '../element-kernel.ts';
import { imageParameters, imagePlace, imageValues, overWindowsOf } from '../windows.ts';
import { adaptiveSizes, launchPool } from './pooling.ts';
import { type AveragePoolOptions, checkImages, type MaxPoolOptions, type PoolSizes, poolSizes } from './sizes.ts';

type Pool = 'max' | 'average' | 'averageInside' | 'adaptive';

const outputAt = 'outputs + oy * params.out_width + ox';

/** Elements of the window of output `o` along one axis that are inside of the image. */
const inside = (o: string, axis: 'y' | 'x', size: string, kernel: string) =>
  `(min(${o} * params.stride_${axis} + params.${kernel}, params.${size} + params.padding_${axis}) - max(${o} * params.stride_${axis}, params.padding_${axis}))`;

const shares: Readonly<Record<Exclude<Pool, 'adaptive'>, string>> = {
  max: `if (places[${outputAt}] == y * params.width + x) { sum += gradient[${outputAt}]; }`,
  average: `sum += gradient[${outputAt}] / f32(params.kernel_height * params.kernel_width);`,
  averageInside: `sum += gradient[${outputAt}] / f32(${inside('oy', 'y', 'height', 'kernel_height')} * ${inside('ox', 'x', 'width', 'kernel_width')});`,
};

const adaptiveWindows = `
  for (var oy = y * params.out_height / params.height; oy < ((y + 1u) * params.out_height + params.height - 1u) / params.height; oy++) {
    let rows = ((oy + 1u) * params.height + params.out_height - 1u) / params.out_height - oy * params.height / params.out_height;
    for (var ox = x * params.out_width / params.width; ox < ((x + 1u) * params.out_width + params.width - 1u) / params.width; ox++) {
      let columns = ((ox + 1u) * params.width + params.out_width - 1u) / params.out_width - ox * params.width / params.out_width;
      sum += gradient[${outputAt}] / f32(rows * columns);
    }
  }`;

/** One invocation per element of the image: it adds up its shares of the windows that hold it, in their order. */
const poolGradientKernel = defineElementKernel<{ readonly pool: Pool }>({
  name: 'poolGradient',
  bindings: ({ pool }) => [
    { name: 'gradient', type: 'array<f32>', access: 'read' },
    ...(pool === 'max' ? [{ name: 'places', type: 'array<u32>', access: 'read' } as const] : []),
    { name: 'result', type: 'array<f32>', access: 'read_write' },
  ],
  parameters: imageParameters,
  main: ({ pool }) => `${imagePlace}
  let outputs = plane * params.out_height * params.out_width;
  var sum = 0.0;
  ${pool === 'adaptive' ? adaptiveWindows : overWindowsOf(shares[pool])}
  result[at] = sum;`,
});

function launchGradient(pool: Pool, gradient: Tensor, places: readonly Tensor[], shape: Shape, sizes: PoolSizes) {
  const { gpu } = gradient;
  const result = gpu.empty(shape);
  launchElements(gpu, poolGradientKernel, { pool }, result.size, {
    bindings: [contiguous(gradient), ...places, result],
    parameters: imageValues(1, sizes),
    cost: { flops: gradient.size * sizes.kernel[0] * sizes.kernel[1], bytes: 4 * (result.size + gradient.size) },
  });
  return result;
}

/**
 * The gradient of `maxPool1d` and `maxPool2d` by x: all of it goes to the first of equal largest elements, as in PyTorch.
 *
 * @param gradient f32, of the output
 * @param x as the pool took it
 * @returns f32 in the shape of x
 */
export function maxPoolGradient(gradient: Tensor, x: Tensor, options: MaxPoolOptions): Tensor {
  return gradient.gpu.tidy(() => {
    const sizes = poolSizes('maxPoolGradient', x.shape, x.rank === 3 ? 1 : 2, options);
    const places = launchPool(x, sizes, 'maxIndex', gradient.shape);
    return launchGradient('max', gradient, [places], x.shape, sizes);
  });
}

/** The gradient of `avgPool1d` and `avgPool2d` by x: f32 in its shape. */
export function avgPoolGradient(gradient: Tensor, shape: Shape, options: AveragePoolOptions): Tensor {
  return gradient.gpu.tidy(() => {
    const { countIncludePad = true, ...window } = options;
    const sizes = poolSizes('avgPoolGradient', shape, shape.length === 3 ? 1 : 2, window);
    return launchGradient(countIncludePad ? 'average' : 'averageInside', gradient, [], shape, sizes);
  });
}

/** The gradient of `adaptiveAvgPool2d` by x: f32 in its shape. */
export function adaptiveAvgPool2dGradient(gradient: Tensor, shape: Shape): Tensor {
  return gradient.gpu.tidy(() => {
    const [images, channels, rows, columns] = gradient.shape as [number, number, number, number];
    const sizes = { size: checkImages('adaptiveAvgPool2dGradient', shape, 2), outSize: [rows, columns] as const };
    return launchGradient('adaptive', gradient, [], shape, adaptiveSizes(sizes, images * channels));
  });
}

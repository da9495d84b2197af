import { ArgumentError, ShapeError } from '../../errors.ts';
import { isQuantized } from '../../tensor/dtype.ts';
import type { Shape } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { cast, contiguous } from '../copy.ts';
import { defineElementKernel, floatBindings, launchElements } from '../element-kernel.ts';
import { imagePlace, outputPlace, type PerAxis, perAxis } from '../windows.ts';
import { type Interpolation, type TapVariant, tapFunctions } from './taps.ts';

const sizeParameters = [
  ['height', 'u32'],
  ['width', 'u32'],
  ['out_height', 'u32'],
  ['out_width', 'u32'],
] as const;

type ResizeVariant = TapVariant & { readonly [name: string]: string | boolean };

/** One invocation per output. */
const interpolateKernel = defineElementKernel<ResizeVariant>({
  name: 'interpolate',
  bindings: () => floatBindings(['image'], ['out']),
  parameters: sizeParameters,
  declarations: tapFunctions,
  main: () => `${outputPlace}
  let x = taps(ox, params.width, params.out_width);
  let y = taps(oy, params.height, params.out_height);
  let from_image = plane * params.height * params.width;
  let low = from_image + y.low * params.width;
  let high = from_image + y.high * params.width;
  let upper = mix(image[low + x.low], image[low + x.high], x.share);
  let lower = mix(image[high + x.low], image[high + x.high], x.share);
  out[at] = mix(upper, lower, y.share);`,
});

/** One invocation per element of the image: it adds up its shares of the samples next to it, in their order. */
const interpolateGradientKernel = defineElementKernel<ResizeVariant>({
  name: 'interpolateGradient',
  bindings: () => floatBindings(['gradient'], ['result']),
  parameters: sizeParameters,
  declarations: tapFunctions,
  main: () => `${imagePlace}
  let outputs = plane * params.out_height * params.out_width;
  let columns = samples_near(x, params.width, params.out_width);
  let rows = samples_near(y, params.height, params.out_height);
  var sum = 0.0;
  for (var oy = rows.x; oy < rows.y; oy++) {
    let row_share = share_of(oy, params.height, params.out_height, y);
    if (row_share == 0.0) { continue; }
    for (var ox = columns.x; ox < columns.y; ox++) {
      sum += row_share * share_of(ox, params.width, params.out_width, x) * gradient[outputs + oy * params.out_width + ox];
    }
  }
  result[at] = sum;`,
});

export interface InterpolateOptions {
  /** [H', W'], or one number for both. */
  readonly size: PerAxis;
  /** `nearest`, or `bilinear` between the four nearest (default). */
  readonly mode?: Interpolation;
  /** Whether the corner samples stay in place, rather than the corners of their cells. Of `bilinear` alone. Default false. */
  readonly alignCorners?: boolean;
}

const operation = 'interpolate';

interface Resize {
  readonly outSize: readonly [number, number];
  readonly variant: ResizeVariant;
}

function resizeOf(shape: Shape, options: InterpolateOptions): Resize {
  const { size, mode = 'bilinear', alignCorners = false } = options;
  if (shape.length !== 4) throw new ShapeError(operation, `x is [${shape}]; expected [B, C, H, W].`);
  if (mode !== 'nearest' && mode !== 'bilinear') {
    throw new ArgumentError(`${operation}: mode`, mode, "'nearest', 'bilinear'");
  }
  if (mode === 'nearest' && alignCorners) {
    throw new ArgumentError(`${operation}: alignCorners`, alignCorners, "false with mode 'nearest'");
  }
  return {
    outSize: perAxis(`${operation}: size`, size, 2, { least: 1, row: 1 }),
    variant: { mode, alignCorners },
  };
}

/**
 * Images at another size, as PyTorch's `interpolate`: without smoothing before making smaller.
 *
 * @param x floats [B, C, H, W]
 * @returns f32 [B, C, H', W']
 * @throws ShapeError for x of another rank or dtype, ArgumentError for an option out of its range.
 */
export function interpolate(x: Tensor, options: InterpolateOptions): Tensor {
  const { gpu } = x;
  const { outSize, variant } = resizeOf(x.shape, options);
  if (isQuantized(x.dtype) || x.dtype === 'i32' || x.dtype === 'u32') {
    throw new ShapeError(operation, `x is ${x.dtype}[${x.shape}]; allowed: floats.`);
  }
  return gpu.tidy(() => {
    const out = gpu.empty([...x.shape.slice(0, 2), ...outSize]);
    launchElements(gpu, interpolateKernel, variant, out.size, {
      bindings: [contiguous(cast(x, 'f32')), out],
      parameters: [...x.shape.slice(2), ...outSize],
      cost: { flops: 16 * out.size, bytes: 4 * (x.size + out.size) },
    });
    return out;
  });
}

/** The gradient of {@link interpolate} by x, of `shape`: f32. */
export function interpolateGradient(gradient: Tensor, shape: Shape, options: InterpolateOptions): Tensor {
  const { gpu } = gradient;
  const { outSize, variant } = resizeOf(shape, options);
  return gpu.tidy(() => {
    const result = gpu.empty(shape);
    launchElements(gpu, interpolateGradientKernel, variant, result.size, {
      bindings: [contiguous(gradient), result],
      parameters: [...shape.slice(2), ...outSize],
      cost: { flops: 16 * (gradient.size + result.size), bytes: 4 * (gradient.size + result.size) },
    });
    return result;
  });
}

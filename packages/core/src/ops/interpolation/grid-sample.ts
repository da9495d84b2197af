import { ArgumentError, ShapeError } from '../../errors.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { cast, contiguous } from '../copy.ts';
import { defineElementKernel, floatBindings, launchElements } from '../element-kernel.ts';
import { multiply } from '../elementwise.ts';
import { scatterAdd } from '../scatter-add.ts';

export interface GridSampleOptions {
  /** What lies outside of the image: `zeros` (default), or its nearest `border`. */
  readonly padding?: 'zeros' | 'border';
  /** Whether -1 and 1 are the centres of the first and last elements, rather than the edges of their cells. Default false. */
  readonly alignCorners?: boolean;
}

interface GridVariant {
  readonly [name: string]: boolean;
  readonly border: boolean;
  readonly alignCorners: boolean;
}

const parameters = [
  ['channels', 'u32'],
  ['height', 'u32'],
  ['width', 'u32'],
  ['samples', 'u32'],
] as const;

/**
 * Declares `fn place_of(value: f32, size: u32) -> vec2<f32>`: where a coordinate of the grid lies along an axis, and its derivative; and `fn
 * element(value: f32, size: u32) -> u32`: the element there, `size` for none.
 */
const placeFunctions = ({ border, alignCorners }: GridVariant) => `
fn place_of(value: f32, size: u32) -> vec2<f32> {
  let factor = 0.5 * f32(size${alignCorners ? ' - 1u' : ''});
  // Far outside nothing depends on how far: the bound keeps the conversion to integers defined.
  let place = clamp((value + 1.0) * factor${alignCorners ? '' : ' - 0.5'}, -4.0, f32(size) + 4.0);
  ${
    border
      ? `let last = f32(size - 1u);
  return vec2<f32>(clamp(place, 0.0, last), select(0.0, factor, place > 0.0 && place < last));`
      : 'return vec2<f32>(place, factor);'
  }
}
fn element(value: f32, size: u32) -> u32 {
  return select(size, u32(max(value, 0.0)), value >= 0.0 && value < f32(size));
}`;

/** Declares \`x\`, \`y\`, their floors and shares, and the elements of both neighbours of sample \`sample\`. */
const locate = `
  let x = place_of(grid[2u * sample], params.width);
  let y = place_of(grid[2u * sample + 1u], params.height);
  let left = element(floor(x.x), params.width);
  let right = element(floor(x.x) + 1.0, params.width);
  let upper = element(floor(y.x), params.height);
  let lower = element(floor(y.x) + 1.0, params.height);
  let along_x = x.x - floor(x.x);
  let along_y = y.x - floor(y.x);`;

const valueFunction = `
fn value_at(plane: u32, y: u32, x: u32) -> f32 {
  let inside = y < params.height && x < params.width;
  return select(0.0, image[plane + min(y, params.height - 1u) * params.width + min(x, params.width - 1u)], inside);
}`;

/** One invocation per output [B, C, samples]. */
const sampleKernel = defineElementKernel<GridVariant>({
  name: 'gridSample',
  bindings: () => floatBindings(['image', 'grid'], ['out']),
  parameters,
  declarations: (variant) => `${placeFunctions(variant)}${valueFunction}`,
  main: () => `
  let plane = at / params.samples * params.height * params.width;
  let sample = at / params.samples / params.channels * params.samples + at % params.samples;
  ${locate}
  let above = mix(value_at(plane, upper, left), value_at(plane, upper, right), along_x);
  let below = mix(value_at(plane, lower, left), value_at(plane, lower, right), along_x);
  out[at] = mix(above, below, along_y);`,
});

/** One invocation per sample [B, samples]: the gradient by its two coordinates, the sum over channels. */
const gridGradientKernel = defineElementKernel<GridVariant>({
  name: 'gridSampleGridGradient',
  bindings: () => floatBindings(['image', 'grid', 'gradient'], ['result']),
  parameters,
  declarations: (variant) => `${placeFunctions(variant)}${valueFunction}`,
  main: () => `
  let sample = at;
  ${locate}
  var by_x = 0.0;
  var by_y = 0.0;
  let first = sample / params.samples * params.channels;
  for (var channel = first; channel < first + params.channels; channel++) {
    let plane = channel * params.height * params.width;
    let own = gradient[channel * params.samples + sample % params.samples];
    let corners = vec4<f32>(
      value_at(plane, upper, left), value_at(plane, upper, right), value_at(plane, lower, left), value_at(plane, lower, right));
    by_x += own * mix(corners.y - corners.x, corners.w - corners.z, along_y);
    by_y += own * mix(corners.z - corners.x, corners.w - corners.y, along_x);
  }
  result[2u * sample] = by_x * x.y;
  result[2u * sample + 1u] = by_y * y.y;`,
});

/** One invocation per sample [B, samples]: the elements that it reads, as rows of [B H W], and their shares. */
const cornersKernel = defineElementKernel<GridVariant>({
  name: 'gridSampleCorners',
  bindings: () => [
    { name: 'grid', type: 'array<f32>', access: 'read' },
    { name: 'rows', type: 'array<u32>', access: 'read_write' },
    { name: 'shares', type: 'array<f32>', access: 'read_write' },
  ],
  parameters,
  declarations: (variant) => `${placeFunctions(variant)}
fn row_of(batch: u32, y: u32, x: u32) -> u32 {
  return select(0xffffffffu, (batch * params.height + y) * params.width + x, y < params.height && x < params.width);
}`,
  main: () => `
  let sample = at;
  ${locate}
  let batch = sample / params.samples;
  rows[4u * sample] = row_of(batch, upper, left);
  rows[4u * sample + 1u] = row_of(batch, upper, right);
  rows[4u * sample + 2u] = row_of(batch, lower, left);
  rows[4u * sample + 3u] = row_of(batch, lower, right);
  shares[4u * sample] = (1.0 - along_y) * (1.0 - along_x);
  shares[4u * sample + 1u] = (1.0 - along_y) * along_x;
  shares[4u * sample + 2u] = along_y * (1.0 - along_x);
  shares[4u * sample + 3u] = along_y * along_x;`,
});

interface Sampling {
  readonly images: number;
  readonly channels: number;
  readonly size: readonly [number, number];
  readonly outSize: readonly [number, number];
  readonly variant: GridVariant;
}

const operation = 'gridSample';

function samplingOf(x: Tensor, grid: Tensor, options: GridSampleOptions): Sampling {
  const { padding = 'zeros', alignCorners = false } = options;
  if (padding !== 'zeros' && padding !== 'border') {
    throw new ArgumentError(`${operation}: padding`, padding, "'zeros', 'border'");
  }
  const [images = 0, channels = 0, height = 0, width = 0] = x.shape;
  const [batches, rows = 0, columns = 0, two] = grid.shape;
  if (x.rank !== 4 || grid.rank !== 4 || two !== 2 || batches !== images || grid.dtype !== 'f32') {
    throw new ShapeError(
      operation,
      `x [${x.shape}] and grid ${grid.dtype}[${grid.shape}] do not fit; expected [B, C, H, W] and f32 [B, H', W', 2].`,
    );
  }
  if (height === 0 || width === 0) throw new ShapeError(operation, `x [${x.shape}] has no elements to sample.`);
  const variant = { border: padding === 'border', alignCorners };
  return { images, channels, size: [height, width], outSize: [rows, columns], variant };
}

const valuesOf = ({ channels, size, outSize }: Sampling) => [channels, ...size, outSize[0] * outSize[1]];

/**
 * Images at given places, bilinear between the four nearest elements, as PyTorch's `grid_sample`.
 *
 * @param x floats [B, C, H, W]
 * @param grid f32 [B, H', W', 2]: x and y of each sample, -1 to 1 over the image
 * @returns f32 [B, C, H', W']
 * @throws ShapeError where shapes do not fit, ArgumentError for another padding.
 */
export function gridSample(x: Tensor, grid: Tensor, options: GridSampleOptions = {}): Tensor {
  const { gpu } = x;
  const sampling = samplingOf(x, grid, options);
  return gpu.tidy(() => {
    const out = gpu.empty([sampling.images, sampling.channels, ...sampling.outSize]);
    launchElements(gpu, sampleKernel, sampling.variant, out.size, {
      bindings: [contiguous(cast(x, 'f32')), contiguous(grid), out],
      parameters: valuesOf(sampling),
      cost: { flops: 24 * out.size, bytes: 20 * out.size },
    });
    return out;
  });
}

/** The gradient of {@link gridSample} by the grid: f32 in its shape. Where an element is met exactly, that of the next interval. */
export function gridSampleGridGradient(
  gradient: Tensor,
  x: Tensor,
  grid: Tensor,
  options: GridSampleOptions = {},
): Tensor {
  const { gpu } = gradient;
  const sampling = samplingOf(x, grid, options);
  return gpu.tidy(() => {
    const result = gpu.empty(grid.shape);
    launchElements(gpu, gridGradientKernel, sampling.variant, result.size / 2, {
      bindings: [contiguous(cast(x, 'f32')), contiguous(grid), contiguous(gradient), result],
      parameters: valuesOf(sampling),
      cost: { flops: 24 * gradient.size, bytes: 20 * gradient.size },
    });
    return result;
  });
}

/**
 * The gradient of {@link gridSample} by x: f32 in its shape. The shares of all samples are added up by {@link scatterAdd}, so in a fixed
 * order; they take four times the memory of the gradient.
 */
export function gridSampleInputGradient(
  gradient: Tensor,
  x: Tensor,
  grid: Tensor,
  options: GridSampleOptions = {},
): Tensor {
  const { gpu } = gradient;
  const sampling = samplingOf(x, grid, options);
  const { images, channels, size, outSize } = sampling;
  return gpu.tidy(() => {
    const samples = images * outSize[0] * outSize[1];
    const [rows, shares] = [gpu.empty([samples, 4], 'u32'), gpu.empty([samples, 4])];
    launchElements(gpu, cornersKernel, sampling.variant, samples, {
      bindings: [contiguous(grid), rows, shares],
      parameters: valuesOf(sampling),
      cost: { flops: 24 * samples, bytes: 40 * samples },
    });
    const perSample = contiguous(gradient.transpose(0, 2, 3, 1)).reshape([samples, 1, channels]);
    const parts = multiply(perSample, shares.reshape([samples, 4, 1]));
    const sums = scatterAdd(parts, rows, images * size[0] * size[1]);
    return contiguous(sums.reshape([images, ...size, channels]).transpose(0, 3, 1, 2));
  });
}

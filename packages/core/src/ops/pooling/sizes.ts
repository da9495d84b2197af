import { ArgumentError, ShapeError } from '../../errors.ts';
import type { Shape } from '../../tensor/shape.ts';
import { type ImageSizes, type PerAxis, perAxis, type Window, windowCounts, windowOf } from '../windows.ts';

export interface AveragePoolOptions {
  /** Size of the window. */
  readonly kernel: PerAxis;
  /** Steps between windows. Default: `kernel`. */
  readonly stride?: PerAxis;
  /** Zeros on both sides of each axis, at most half of the window. Default 0. */
  readonly padding?: PerAxis;
  /** Whether padding counts as elements of a window. Default true. */
  readonly countIncludePad?: boolean;
}

export interface MaxPoolOptions extends Omit<AveragePoolOptions, 'countIncludePad'> {
  /** Distance of the elements of a window. Default 1. */
  readonly dilation?: PerAxis;
}

/** Sizes of a pool over [B, C, H, W]: planes are images times channels. */
export interface PoolSizes extends Window, ImageSizes {
  readonly planes: number;
}

/** Shape of the images of `rank` axes that a pool takes. */
export function checkImages(operation: string, shape: Shape, rank: 1 | 2): readonly [number, number] {
  if (shape.length !== rank + 2) {
    throw new ShapeError(operation, `x is [${shape}]; expected ${rank === 1 ? '[B, C, L]' : '[B, C, H, W]'}.`);
  }
  return rank === 1 ? [1, shape[2] as number] : [shape[2] as number, shape[3] as number];
}

/** The sizes that a call means. */
export function poolSizes(
  operation: string,
  shape: Shape,
  rank: 1 | 2,
  options: MaxPoolOptions | AveragePoolOptions,
): PoolSizes {
  const size = checkImages(operation, shape, rank);
  const { kernel, stride = kernel, ...rest } = options;
  const elements = perAxis(`${operation}: kernel`, kernel, rank, { least: 1, row: 1 });
  const window = windowOf(operation, rank === 1 ? elements.slice(1) : elements, rank, { stride, ...rest });
  const reach = (axis: 0 | 1) => window.dilation[axis] * (window.kernel[axis] - 1) + 1;
  if (2 * window.padding[0] > reach(0) || 2 * window.padding[1] > reach(1)) {
    throw new ArgumentError(`${operation}: padding`, options.padding, 'at most half of the window');
  }
  const planes = (shape[0] as number) * (shape[1] as number);
  return { ...window, planes, size, outSize: windowCounts(operation, size, window) };
}

import { ArgumentError, ShapeError } from '../errors.ts';
import type { ParameterType } from '../kernels/kernel.ts';
import type { Shape } from '../tensor/shape.ts';

/** A number for every spatial axis, or one for each. */
export type PerAxis = number | readonly number[];

/** How a window moves over an image. */
export interface WindowOptions {
  /** Steps between windows. Default 1. */
  readonly stride?: PerAxis;
  /** Zeros on both sides of each axis. Default 0. */
  readonly padding?: PerAxis;
  /** Distance of the elements of a window. Default 1. */
  readonly dilation?: PerAxis;
}

/** A window of a two-dimensional image: [rows, columns] each. */
export interface Window {
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly padding: readonly [number, number];
  readonly dilation: readonly [number, number];
}

/** Positions of an image before and after. */
export interface ImageSizes {
  /** [H, W] */
  readonly size: readonly [number, number];
  /** [H', W']: one per window. */
  readonly outSize: readonly [number, number];
}

/** An option with a number for each of `rank` axes, as two: the rows of a signal are one. */
export function perAxis(
  name: string,
  value: PerAxis,
  rank: 1 | 2,
  range: { readonly least: number; readonly row: number },
): [number, number] {
  const list = typeof value === 'number' ? new Array<number>(rank).fill(value) : value;
  if (list.length !== rank || list.some((each) => !Number.isSafeInteger(each) || each < range.least)) {
    const allowed = rank === 1 ? 'an integer' : 'an integer or two';
    throw new ArgumentError(name, value, `${allowed} of ${range.least} or more`);
  }
  return rank === 1 ? [range.row, list[0] as number] : [list[0] as number, list[1] as number];
}

/** The window of an op over `rank` axes with a kernel of the given size. */
export function windowOf(operation: string, kernel: Shape, rank: 1 | 2, options: WindowOptions): Window {
  const { stride = 1, padding = 0, dilation = 1 } = options;
  return {
    kernel: perAxis(`${operation}: kernel size`, kernel, rank, { least: 1, row: 1 }),
    stride: perAxis(`${operation}: stride`, stride, rank, { least: 1, row: 1 }),
    padding: perAxis(`${operation}: padding`, padding, rank, { least: 0, row: 0 }),
    dilation: perAxis(`${operation}: dilation`, dilation, rank, { least: 1, row: 1 }),
  };
}

/**
 * How many windows there are along both axes of an image.
 *
 * @throws ShapeError where not even one fits.
 */
export function windowCounts(operation: string, size: readonly [number, number], window: Window): [number, number] {
  const count = (axis: 0 | 1) => {
    const reach = window.dilation[axis] * (window.kernel[axis] - 1) + 1;
    return Math.floor((size[axis] + 2 * window.padding[axis] - reach) / window.stride[axis]) + 1;
  };
  const counts: [number, number] = [count(0), count(1)];
  if (counts[0] < 1 || counts[1] < 1) {
    throw new ShapeError(
      operation,
      `a window of [${window.kernel}] with dilation [${window.dilation}] does not fit into [${size}] with padding [${window.padding}].`,
    );
  }
  return counts;
}

/** The scalars of {@link imageValues}. */
export const imageParameters: readonly (readonly [string, ParameterType])[] = [
  ['channels', 'u32'],
  ['height', 'u32'],
  ['width', 'u32'],
  ['out_height', 'u32'],
  ['out_width', 'u32'],
  ['kernel_height', 'u32'],
  ['kernel_width', 'u32'],
  ['stride_y', 'u32'],
  ['stride_x', 'u32'],
  ['padding_y', 'u32'],
  ['padding_x', 'u32'],
  ['dilation_y', 'u32'],
  ['dilation_x', 'u32'],
];

/** Channels of the images of a kernel, and the geometry of its windows. */
export function imageValues(channels: number, sizes: Window & ImageSizes): number[] {
  const { size, outSize, kernel, stride, padding, dilation } = sizes;
  return [channels, ...size, ...outSize, ...kernel, ...stride, ...padding, ...dilation];
}

/** WGSL that declares where output element `at` lies: `oy`, `ox` and its `plane`, one of those of all images. */
export const outputPlace = `
  let ox = at % params.out_width;
  let oy = at / params.out_width % params.out_height;
  let plane = at / params.out_width / params.out_height;`;

/** WGSL that declares where element `at` of the images lies: `y`, `x` and its `plane`, one of those of all images. */
export const imagePlace = `
  let x = at % params.width;
  let y = at / params.width % params.height;
  let plane = at / params.width / params.height;`;

/**
 * WGSL that visits the elements of the window of output (`oy`, `ox`) that are inside the image: `body` has `y` and `x` (u32) and
 * `tap`, the number of the element in the window.
 */
export function overWindow(body: string): string {
  return `
  for (var ky = 0u; ky < params.kernel_height; ky++) {
    let y = oy * params.stride_y + ky * params.dilation_y - params.padding_y;
    // Above the image y has wrapped around.
    if (y >= params.height) { continue; }
    for (var kx = 0u; kx < params.kernel_width; kx++) {
      let x = ox * params.stride_x + kx * params.dilation_x - params.padding_x;
      if (x >= params.width) { continue; }
      let tap = ky * params.kernel_width + kx;
      ${body}
    }
  }`;
}

/**
 * WGSL that visits the windows that hold the image's element (`y`, `x`): `body` has the output's `oy` and `ox` (u32), and `tap`, the place of
 * the element in its window.
 */
export function overWindowsOf(body: string): string {
  return `
  for (var ky = 0u; ky < params.kernel_height; ky++) {
    let from_y = y + params.padding_y - ky * params.dilation_y;
    let oy = from_y / params.stride_y;
    if (y + params.padding_y < ky * params.dilation_y || oy >= params.out_height || from_y % params.stride_y != 0u) { continue; }
    for (var kx = 0u; kx < params.kernel_width; kx++) {
      let from_x = x + params.padding_x - kx * params.dilation_x;
      let ox = from_x / params.stride_x;
      if (x + params.padding_x < kx * params.dilation_x || ox >= params.out_width || from_x % params.stride_x != 0u) { continue; }
      let tap = ky * params.kernel_width + kx;
      ${body}
    }
  }`;
}

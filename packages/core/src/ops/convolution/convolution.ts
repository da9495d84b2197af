import { ArgumentError, ShapeError } from '../../errors.ts';
import { isQuantized } from '../../tensor/dtype.ts';
import { type Shape, sameShape } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { contiguous } from '../copy.ts';
import { add } from '../elementwise.ts';
import { type PerAxis, perAxis, type WindowOptions, windowCounts, windowOf } from '../windows.ts';
import { asImages, convolve, convolveInputGradient } from './convolve.ts';
import type { ConvolutionSizes } from './sizes.ts';

export interface ConvolutionOptions extends WindowOptions {
  /** Floats [O], added to every position. */
  readonly bias?: Tensor;
  /** Channels are split into so many groups, which do not see each other. Default 1; as many as channels is a depthwise convolution. */
  readonly groups?: number;
}

export interface TransposedConvolutionOptions extends ConvolutionOptions {
  /** Added to one side of the output; below the stride or the dilation. Default 0. */
  readonly outputPadding?: PerAxis;
}

/** What a kind of convolution is called, over how many axes it goes, and whether it is the transposed one. */
export interface ConvolutionKind {
  readonly operation: string;
  readonly rank: 1 | 2;
  readonly transposed: boolean;
}

/** Shapes that a convolution is given. */
interface Given {
  readonly x: Shape;
  readonly weight: Shape;
  readonly bias?: Shape | undefined;
}

/**
 * The sizes of the convolution that a call means; of a transposed one those of the convolution that it transposes, whose output
 * is x.
 */
export function convolutionSizes(
  { operation, rank, transposed }: ConvolutionKind,
  { x, weight, bias }: Given,
  options: TransposedConvolutionOptions,
): ConvolutionSizes {
  const { groups = 1, outputPadding = 0 } = options;
  const axes = rank === 1 ? 'L' : 'H, W';
  const wanted = transposed ? `[C, O / groups, ${axes}]` : `[O, C / groups, ${axes}]`;
  const misfit = (why: string) =>
    new ShapeError(operation, `x [${x}] and weight [${weight}]: ${why}; expected [B, C, ${axes}] and ${wanted}.`);
  if (x.length !== rank + 2 || weight.length !== rank + 2) throw misfit(`needs ${rank + 2} axes of both`);
  if (!(Number.isSafeInteger(groups) && groups >= 1)) {
    throw new ArgumentError(`${operation}: groups`, groups, 'an integer of 1 or more');
  }
  const [images, channels] = x as [number, number];
  const [first, second] = weight as [number, number];
  const [given, perGroup] = transposed ? [first, first / groups] : [second * groups, second];
  if (given !== channels || first % groups !== 0 || channels % groups !== 0) {
    throw misfit(`${groups} groups of ${perGroup} channels do not make ${channels}`);
  }
  const results = transposed ? second * groups : first;
  if (bias && !sameShape(bias, [results])) {
    throw new ShapeError(operation, `bias has shape [${bias}]; the weight [${weight}] asks for [${results}].`);
  }
  const window = windowOf(operation, weight.slice(2), rank, options);
  const size = (rank === 1 ? [1, x[2]] : [x[2], x[3]]) as [number, number];
  const shared = { ...window, images, groups, inputs: transposed ? results : channels };
  if (!transposed) return { ...shared, outputs: results, size, outSize: windowCounts(operation, size, window) };
  const extra = perAxis(`${operation}: outputPadding`, outputPadding, rank, { least: 0, row: 0 });
  const whole = (axis: 0 | 1) => {
    const { stride, padding, dilation, kernel } = window;
    if (extra[axis] > 0 && extra[axis] >= Math.max(stride[axis], dilation[axis])) {
      throw new ArgumentError(`${operation}: outputPadding`, outputPadding, 'less than the stride or the dilation');
    }
    return (size[axis] - 1) * stride[axis] - 2 * padding[axis] + dilation[axis] * (kernel[axis] - 1) + extra[axis] + 1;
  };
  const outSize: [number, number] = [whole(0), whole(1)];
  if (outSize.some((each) => each < 1)) throw misfit(`the output would have [${outSize}] positions`);
  return { ...shared, outputs: channels, size: outSize, outSize: size };
}

function run(kind: ConvolutionKind, x: Tensor, weight: Tensor, options: TransposedConvolutionOptions): Tensor {
  const { operation, rank, transposed } = kind;
  const { bias } = options;
  const sizes = convolutionSizes(kind, { x: x.shape, weight: weight.shape, bias: bias?.shape }, options);
  if (isQuantized(x.dtype) || x.dtype === 'i32' || x.dtype === 'u32') {
    throw new ShapeError(operation, `x is ${x.dtype}[${x.shape}]; allowed: floats.`);
  }
  return x.gpu.tidy(() => {
    const images = asImages(x);
    const out = transposed ? convolveInputGradient(images, weight, sizes) : convolve(images, weight, sizes);
    const biased = bias ? add(out, contiguous(bias).reshape([bias.size, 1, 1])) : out;
    return rank === 2 ? biased : biased.reshape([...out.shape.slice(0, 2), out.shape[3] as number]);
  });
}

/** The kinds by the names of their ops. */
export const convolutionKinds = {
  conv1d: { operation: 'conv1d', rank: 1, transposed: false },
  conv2d: { operation: 'conv2d', rank: 2, transposed: false },
  convTranspose1d: { operation: 'convTranspose1d', rank: 1, transposed: true },
  convTranspose2d: { operation: 'convTranspose2d', rank: 2, transposed: true },
} as const satisfies Record<string, ConvolutionKind>;

/*
 * Cross-correlations with zero padding, laid out and weighted as in PyTorch. They are matrix products over the windows, laid out in tiles of at
 * most 64 MiB; with one output channel per group, as depthwise ones have, each output is added up directly.
 */

/**
 * @param x floats [B, C, L]
 * @param weight floats [O, C / groups, kernel]
 * @returns f32 [B, O, L'], L' = floor((L + 2 padding - dilation (kernel - 1) - 1) / stride) + 1
 * @throws ShapeError where shapes do not fit, ArgumentError for an option out of its range, LimitError for tensors over the binding limit.
 */
export function conv1d(x: Tensor, weight: Tensor, options: ConvolutionOptions = {}): Tensor {
  return run(convolutionKinds.conv1d, x, weight, options);
}

/**
 * As {@link conv1d} over two axes; options are one number for both or [rows, columns].
 *
 * @param x floats [B, C, H, W]
 * @param weight floats [O, C / groups, kernel rows, kernel columns]
 * @returns f32 [B, O, H', W']
 */
export function conv2d(x: Tensor, weight: Tensor, options: ConvolutionOptions = {}): Tensor {
  return run(convolutionKinds.conv2d, x, weight, options);
}

/**
 * The transpose of {@link conv1d} as a linear map, also called a fractionally strided convolution.
 *
 * @param x floats [B, C, L]
 * @param weight floats [C, O / groups, kernel]
 * @returns f32 [B, O, L'], L' = (L - 1) stride - 2 padding + dilation (kernel - 1) + outputPadding + 1
 * @throws as `conv1d`.
 */
export function convTranspose1d(x: Tensor, weight: Tensor, options: TransposedConvolutionOptions = {}): Tensor {
  return run(convolutionKinds.convTranspose1d, x, weight, options);
}

/**
 * As {@link convTranspose1d} over two axes.
 *
 * @param x floats [B, C, H, W]
 * @param weight floats [C, O / groups, kernel rows, kernel columns]
 * @returns f32 [B, O, H', W']
 */
export function convTranspose2d(x: Tensor, weight: Tensor, options: TransposedConvolutionOptions = {}): Tensor {
  return run(convolutionKinds.convTranspose2d, x, weight, options);
}

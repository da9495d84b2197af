import { ArgumentError, ShapeError } from '../../errors.ts';
import { isQuantized } from '../../tensor/dtype.ts';
import { sameShape } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { cast, contiguous } from '../copy.ts';
import { add, multiply, rsqrt, scale, square, subtract } from '../elementwise.ts';
import { mean } from '../reduce.ts';
import { planeMap, planeMoments } from './planes.ts';

/** Mean and variance of the elements that are normalised together. */
export interface Moments {
  /** f32 [C] (batch norm) or [B, groups] (group norm) */
  readonly mean: Tensor;
  /** Of all elements (divided by their number): f32, in the shape of `mean`. */
  readonly variance: Tensor;
}

export interface ChannelNormOptions {
  /** Floats [C]. Default ones. */
  readonly weight?: Tensor;
  /** Floats [C]. Default zeros. */
  readonly bias?: Tensor;
  /** Added to the variance. Default 1e-5. */
  readonly epsilon?: number;
}

export const defaultEpsilon = 1e-5;

/** x as contiguous f32. @throws ShapeError where it has no channels or is no floats */
function checkInput(operation: string, x: Tensor): Tensor {
  if (x.rank < 2 || isQuantized(x.dtype) || x.dtype === 'i32' || x.dtype === 'u32') {
    throw new ShapeError(operation, `x is ${x.dtype}[${x.shape}]; expected floats [B, C, ...].`);
  }
  return contiguous(cast(x, 'f32'));
}

function checkVectors(operation: string, x: Tensor, vectors: Readonly<Record<string, Tensor | undefined>>): void {
  for (const [name, vector] of Object.entries(vectors)) {
    if (vector && !sameShape(vector.shape, [x.shape[1] as number])) {
      throw new ShapeError(operation, `${name} is [${vector.shape}]; x [${x.shape}] asks for [${x.shape[1]}].`);
    }
  }
}

function checkGroups(x: Tensor, groups: number): void {
  const channels = x.shape[1] as number;
  if (!(Number.isSafeInteger(groups) && groups >= 1 && channels % groups === 0)) {
    throw new ArgumentError('groupNorm: groups', groups, `a divisor of the ${channels} channels`);
  }
}

/** Joins moments of planes of equal size along one axis: the variance within and between them. */
function joinMoments(means: Tensor, variances: Tensor, axis: number): Moments {
  const center = mean(means, { axis, keepDims: true });
  const between = mean(square(subtract(means, center)), { axis });
  return { mean: center.reshape(between.shape), variance: add(mean(variances, { axis }), between) };
}

/**
 * Mean and variance of each channel over all images and positions.
 *
 * @param x floats [B, C, ...]
 * @returns f32 [C] each
 * @throws ShapeError for x of fewer axes
 */
export function channelMoments(x: Tensor): Moments {
  return x.gpu.tidy(() => {
    const { means, variances } = planeMoments(checkInput('channelMoments', x));
    return joinMoments(means, variances, 0);
  });
}

/** A vector per channel [C], or per image and group of channels [B, groups], as one per plane: f32 [C] or [B, C], contiguous. */
export function perPlane(vector: Tensor, channels: number): Tensor {
  if (vector.rank === 1) return contiguous(vector);
  const [images, groups] = vector.shape as [number, number];
  const shared = vector.reshape([images, groups, 1]).broadcastTo([images, groups, channels / groups]);
  return contiguous(shared).reshape([images, channels]);
}

/** `1 / sqrt(variance + epsilon)` of each plane. */
export function planeScales({ variance }: Moments, channels: number, epsilon: number): Tensor {
  return perPlane(rsqrt(scale(variance, 1, epsilon)), channels);
}

/** x normalised by moments that belong to its channels or to groups of them. */
function normalize(x: Tensor, moments: Moments, options: ChannelNormOptions): Tensor {
  const { weight, bias, epsilon = defaultEpsilon } = options;
  const channels = x.shape[1] as number;
  const scales = planeScales(moments, channels, epsilon);
  const factors = weight ? multiply(scales, weight) : scales;
  const heights = bias ? contiguous(cast(bias, 'f32').broadcastTo(factors.shape)) : x.gpu.zeros(factors.shape);
  return planeMap(x, { means: perPlane(moments.mean, channels), factors, heights });
}

/**
 * Normalises each channel by given moments (Ioffe and Szegedy, 2015): `(x - mean) / sqrt(variance + epsilon) weight + bias`. In
 * training these are {@link channelMoments} of x, in evaluation running averages of them.
 *
 * @param x floats [B, C, ...]
 * @param moments f32 [C] each
 * @returns f32 in the shape of x
 * @throws ShapeError where shapes do not fit
 */
export function batchNorm(x: Tensor, moments: Moments, options: ChannelNormOptions = {}): Tensor {
  const { weight, bias } = options;
  return x.gpu.tidy(() => {
    const input = checkInput('batchNorm', x);
    checkVectors('batchNorm', x, { mean: moments.mean, variance: moments.variance, weight, bias });
    return normalize(input, moments, options);
  });
}

/** {@link groupNorm}, and the moments that it found: f32 [B, groups]. */
export function normalizeGroups(
  x: Tensor,
  groups: number,
  options: ChannelNormOptions,
): { readonly output: Tensor; readonly moments: Moments } {
  const { weight, bias } = options;
  return x.gpu.tidy(() => {
    const input = checkInput('groupNorm', x);
    checkGroups(x, groups);
    checkVectors('groupNorm', x, { weight, bias });
    const { means, variances } = planeMoments(input);
    const split = [x.shape[0] as number, groups, -1];
    const moments = joinMoments(means.reshape(split), variances.reshape(split), 2);
    return { output: normalize(input, moments, options), moments };
  });
}

/**
 * Normalises groups of channels of each image by their own mean and variance (Wu and He, 2018). With one group per channel an
 * instance norm.
 *
 * @param x floats [B, C, ...]
 * @param groups a divisor of C
 * @returns f32 in the shape of x
 * @throws ShapeError where shapes do not fit, ArgumentError for other groups
 */
export function groupNorm(x: Tensor, groups: number, options: ChannelNormOptions = {}): Tensor {
  return x.gpu.tidy(() => normalizeGroups(x, groups, options).output);
}

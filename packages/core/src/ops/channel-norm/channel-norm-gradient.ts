import { elementCount } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { cast, contiguous } from '../copy.ts';
import { multiply, negate, scale, square } from '../elementwise.ts';
import { sum } from '../reduce.ts';
import { type Moments, perPlane, planeScales } from './channel-norm.ts';
import { planeGradientSums, planeMap, planeSize } from './planes.ts';

/** What the gradients of `batchNorm` and `groupNorm` read. */
export interface ChannelNormGradientInputs {
  /** Floats [B, C, ...] */
  readonly x: Tensor;
  /** f32 in the shape of x, of the output. */
  readonly gradient: Tensor;
  /** By which x was normalised: f32 [C], or [B, groups]. */
  readonly moments: Moments;
  /** Floats [C]; ones where there is none. */
  readonly weight?: Tensor | undefined;
  readonly epsilon: number;
  /** Whether the moments are those of x, so that the gradient goes through them too. */
  readonly momentsOfInput: boolean;
}

export interface ChannelNormGradients {
  /** f32 in the shape of x */
  readonly x: Tensor;
  /** f32 [C] */
  readonly weight: Tensor;
  /** f32 [C] */
  readonly bias: Tensor;
}

/**
 * The gradients of `batchNorm` and `groupNorm` by x, weight and bias. With n the normalised element, s the scale of its plane and h = gradient weight:
 * by x `s (h - mean(h) - n mean(h n))` over the elements of the moments, or `s h` for moments from elsewhere.
 */
export function channelNormGradients(inputs: ChannelNormGradientInputs): ChannelNormGradients {
  const { moments, weight, epsilon, momentsOfInput } = inputs;
  return inputs.x.gpu.tidy(() => {
    const [x, gradient] = [contiguous(cast(inputs.x, 'f32')), contiguous(inputs.gradient)];
    const channels = x.shape[1] as number;
    const means = perPlane(moments.mean, channels);
    const scales = planeScales(moments, channels, epsilon);
    const { levels, slopes } = planeGradientSums(x, gradient, means);
    const weighted = (vector: Tensor) => (weight ? multiply(vector, weight) : vector);
    const factors = weighted(scales);
    const parameters = { weight: sum(multiply(slopes, scales), { axis: 0 }), bias: sum(levels, { axis: 0 }) };
    if (!momentsOfInput) {
      const ownShape = [channels, ...x.shape.slice(2).map(() => 1)];
      return { x: multiply(gradient, contiguous(factors).reshape(ownShape)), ...parameters };
    }
    const count = (planeSize(x) * elementCount(levels.shape)) / moments.mean.size;
    // Means over the elements that share moments, for each plane.
    const shared = (perPlaneSums: Tensor) => {
      const own = weighted(perPlaneSums);
      const together =
        moments.mean.rank === 1 ? sum(own, { axis: 0 }) : sum(own.reshape([...moments.mean.shape, -1]), { axis: 2 });
      return perPlane(scale(together, 1 / count), channels);
    };
    const result = planeMap(
      x,
      {
        means,
        factors: contiguous(factors),
        slopes: negate(multiply(shared(slopes), multiply(square(scales), scales))),
        heights: negate(multiply(shared(levels), scales)),
      },
      gradient,
    );
    return { x: result, ...parameters };
  });
}

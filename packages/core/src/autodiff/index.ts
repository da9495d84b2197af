export type { ProbabilitySumsWhere } from '../attention/backward/probability-sums-backward.ts';
export { customGradient, stopGradient } from './custom-gradient.ts';
export { attention, type DifferentiableAttentionOptions } from './ops/attention.ts';
export {
  type AttentionMassOptions,
  type KeyExpectationOptions,
  type KeyMassOptions,
  type KeySetMassOptions,
  keyExpectation,
  keyMass,
  keySetMass,
} from './ops/attention-mass.ts';
export {
  batchNorm,
  type DifferentiableBatchNormOptions,
  type DifferentiableChannelNormOptions,
  groupNorm,
} from './ops/channel-norm.ts';
export {
  conv1d,
  conv2d,
  convTranspose1d,
  convTranspose2d,
  type DifferentiableConvolutionOptions,
  type DifferentiableTransposedConvolutionOptions,
} from './ops/convolution.ts';
export { crossEntropy } from './ops/cross-entropy.ts';
export { dropout } from './ops/dropout.ts';
export * from './ops/elementwise.ts';
export { gridSample, interpolate } from './ops/interpolation.ts';
export { type DifferentiableLinearAttentionOptions, linearAttention } from './ops/linear-attention.ts';
export { type DifferentiableLinearOptions, linear, matmul } from './ops/matmul.ts';
export { gatedActivation } from './ops/mlp.ts';
export { layerNorm, rmsNorm } from './ops/norm.ts';
export { adaptiveAvgPool2d, avgPool1d, avgPool2d, maxPool1d, maxPool2d } from './ops/pooling.ts';
export { prefixSum } from './ops/prefix-sum.ts';
export { type DifferentiableRecurrentWeights, gru, lstm } from './ops/recurrent.ts';
export { max, mean, min, sum } from './ops/reduce.ts';
export { rope } from './ops/rope.ts';
export {
  concatenate,
  embedding,
  gather,
  pad,
  scatterAdd,
  scatterRows,
  split,
  takeAlongAxis,
  tokenPermute,
  tokenUnpermute,
} from './ops/rows.ts';
export { logSoftmax, softmax } from './ops/softmax.ts';
export { recompute } from './recompute.ts';
export { type Backward, type Recorded, type Tape, Tracked, type Value } from './tape.ts';
export {
  type GradientTree,
  type TrackedArguments,
  type TrackedTree,
  type ValueAndGradients,
  valueAndGrad,
} from './value-and-grad.ts';

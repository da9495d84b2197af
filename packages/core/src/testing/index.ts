export { assertClose, type Tolerance } from './assert-close.ts';
export { checkGradient, type GradientCase } from './check-gradient.ts';
export {
  type DenoisingInput,
  type DenoisingShape,
  type DenoisingStepsOptions,
  headRows,
  runDenoisingSteps,
} from './denoising-steps.ts';
export { type GoldenTensor, parseGoldenTensors } from './golden-tensors.ts';
export { hardwareKernelsGpu } from './hardware-kernels-gpu.ts';
export { type InterruptionCount, withInterruption } from './interruptions.ts';
export { launchedOnDefaults } from './launched-kernels.ts';
export { optionRows } from './option-rows.ts';
export { proveSteady } from './prove-steady.ts';
export { randomArray, randomIntegers, seededRandom } from './random-array.ts';
export {
  type AttentionReference,
  type AttentionReferenceInput,
  attentionReference,
  attentionScores,
  visibleRows,
} from './reference/attention.ts';
export { type AttentionGradientsReference, attentionBackwardReference } from './reference/attention-backward.ts';
export {
  attentionProbabilities,
  blockMeanReference,
  entropyReference,
  expectationReference,
  type KeyMassReference,
  keyMassReference,
  keySetMassReference,
  type ProbabilitySizes,
} from './reference/attention-statistics.ts';
export {
  type ConvolutionReferenceSizes,
  convolutionReference,
  transposedConvolutionReference,
} from './reference/convolution.ts';
export { crossEntropyReference } from './reference/cross-entropy.ts';
export {
  binaryReference,
  elementwiseReference,
  erfcReference,
  unaryReference,
} from './reference/elementwise.ts';
export { embeddingReference } from './reference/embedding.ts';
export {
  type GridSampleReferenceOptions,
  gridSampleReference,
  type InterpolateReferenceOptions,
  interpolateReference,
} from './reference/interpolation.ts';
export {
  featureReference,
  type LinearAttentionReference,
  type LinearAttentionReferenceInput,
  linearAttentionReference,
} from './reference/linear-attention.ts';
export type { MaskReferenceSizes } from './reference/mask.ts';
export { type HostMask, maskReference } from './reference/mask.ts';
export { linearReference, matmulReference } from './reference/matmul.ts';
export { gatedActivationReference } from './reference/mlp.ts';
export {
  type ChannelNormReferenceSizes,
  channelNormReference,
  layerNormReference,
  rmsNormReference,
} from './reference/norm.ts';
export { adaptivePoolReference, type PoolReferenceSizes, poolReference } from './reference/pooling.ts';
export { prefixSumReference } from './reference/prefix-sum.ts';
export { type QuantizedReference, quantizeReference } from './reference/quantize.ts';
export { gruReference, lstmReference, type RecurrentReferenceSizes } from './reference/recurrent.ts';
export { reduceReference } from './reference/reduce.ts';
export { ropeReference } from './reference/rope.ts';
export { type SampledReference, type SampleReferenceOptions, sampleTokenReference } from './reference/sampling.ts';
export { logSoftmaxReference, softmaxReference } from './reference/softmax.ts';
export { argsortReference } from './reference/sort.ts';
export { broadcastReference, type HostTensor, transposeReference } from './reference/strided.ts';
export { topKReference } from './reference/top-k.ts';
export { modestGpu, openModestGpu, sharedGpu } from './shared-gpu.ts';
export { countKeyRows, poisonRows, proveSparse, type SparseProof } from './sparse-proofs.ts';

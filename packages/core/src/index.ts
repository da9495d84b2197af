export * from './attention/index.ts';
export * from './cache/index.ts';
export * from './calibration/index.ts';
export type { BufferRange } from './device/bind-groups.ts';
export type { PooledBuffer } from './device/buffer-pool.ts';
export type { AdapterFacts, Capabilities } from './device/capabilities.ts';
export { CommandPlan } from './device/command-plan.ts';
export { Gpu } from './device/gpu.ts';
export type { DebugLevel, GpuOptions, GpuStats } from './device/gpu-options.ts';
export type { Launch, LaunchBinding } from './device/launcher.ts';
export { gpuFromDevice, type OpenGpuOptions, openGpu } from './device/open-gpu.ts';
export * from './errors.ts';
export { centreCrop, cropImage } from './images/crop-image.ts';
export { ImageError, type ImageErrorCode } from './images/image-error.ts';
export { type ResampleFilter, resizeImage } from './images/resize-image.ts';
export { type RgbImage, rgbImage } from './images/rgb-image.ts';
export type { ParameterList } from './kernels/kernel.ts';
export {
  type BindingDeclaration,
  defineKernel,
  type KernelDefinition,
  type KernelSource,
  type ParameterType,
  type Variant,
} from './kernels/kernel.ts';
export {
  batchNorm,
  type ChannelNormOptions,
  channelMoments,
  groupNorm,
  type Moments,
} from './ops/channel-norm/channel-norm.ts';
export { type Compacted, compact, maskPositions, type Positions } from './ops/compact.ts';
export * from './ops/convolution/index.ts';
export { cast, concatenate, contiguous, copyInto } from './ops/copy.ts';
export { type CrossEntropyOptions, crossEntropy } from './ops/cross-entropy.ts';
export { crossEntropyGradient } from './ops/cross-entropy-gradient.ts';
export { type DropoutOptions, dropout } from './ops/dropout.ts';
export {
  absolute,
  add,
  divide,
  elu,
  exp,
  type GeluOptions,
  gelu,
  hardSigmoid,
  hardSwish,
  leakyRelu,
  log,
  maximum,
  minimum,
  multiply,
  negate,
  reciprocal,
  relu,
  rsqrt,
  scale,
  sigmoid,
  silu,
  softplus,
  sqrt,
  square,
  subtract,
  tanh,
} from './ops/elementwise.ts';
export { type DifferentiableUnary, unaryGradient } from './ops/elementwise-gradient.ts';
export { embedding } from './ops/embedding.ts';
export { gather, scatterRows } from './ops/gather.ts';
export { type GridSampleOptions, gridSample } from './ops/interpolation/grid-sample.ts';
export { type InterpolateOptions, interpolate } from './ops/interpolation/interpolate.ts';
export type { Interpolation } from './ops/interpolation/taps.ts';
export { largestMask } from './ops/largest-mask.ts';
export * from './ops/linear-attention/index.ts';
export { massCount } from './ops/mass-count.ts';
export * from './ops/matmul/index.ts';
export { type GateActivation, type GatedActivationOptions, gatedActivation } from './ops/mlp.ts';
export { type AddedNorm, addRmsNorm, type LayerNormOptions, layerNorm, type NormOptions, rmsNorm } from './ops/norm.ts';
export type { NormGradientInputs, NormKind } from './ops/norm-gradient.ts';
export { normInputGradient, normWeightGradient } from './ops/norm-gradient.ts';
export { type AxisPadding, pad } from './ops/pad.ts';
export {
  adaptiveAvgPool2d,
  avgPool1d,
  avgPool2d,
  maxPool1d,
  maxPool2d,
} from './ops/pooling/pooling.ts';
export type { AveragePoolOptions, MaxPoolOptions } from './ops/pooling/sizes.ts';
export { type PrefixSumOptions, prefixSum } from './ops/prefix-sum.ts';
export { gru } from './ops/recurrent/gru.ts';
export { type LstmState, lstm } from './ops/recurrent/lstm.ts';
export type { RecurrentOptions, RecurrentWeights } from './ops/recurrent/recurrence.ts';
export { type ArgmaxOptions, argmax, max, mean, min, type ReduceOptions, sum } from './ops/reduce.ts';
export { type RopeLayout, type RopeOptions, rope } from './ops/rope.ts';
export { ropeGradient } from './ops/rope-gradient.ts';
export {
  type RopeFrequencies,
  type RopeScaling,
  type RopeTable,
  type RopeTableOptions,
  ropeFrequencies,
  ropeTable,
} from './ops/rope-table.ts';
export { type SampleTokenOptions, sampleToken } from './ops/sampling.ts';
export { type ScaleRowsOptions, scaleRows } from './ops/scale-rows.ts';
export { scatterAdd } from './ops/scatter-add.ts';
export { logSoftmax, type SoftmaxOptions, softmax } from './ops/softmax.ts';
export { logSoftmaxGradient, softmaxGradient } from './ops/softmax-gradient.ts';
export { argsort, type Sorted, type SortOptions, sort } from './ops/sort.ts';
export { split } from './ops/split.ts';
export { sumTo } from './ops/sum-to.ts';
export { takeAlongAxis } from './ops/take-along-axis.ts';
export type { TokenOrder } from './ops/token-order.ts';
export { tokenPermute, tokenUnpermute } from './ops/token-permute.ts';
export { type TokenRowsOptions, tokenRows } from './ops/token-rows.ts';
export { type TopK, type TopKOptions, topK } from './ops/top-k.ts';
export { topPFilter } from './ops/top-p.ts';
export { type UnmaskOptions, unmaskTokens } from './ops/unmask.ts';
export type { PerAxis, WindowOptions } from './ops/windows.ts';
export { rowBytes, writeRows } from './ops/write-rows.ts';
export { type KernelSummary, Profile } from './profiling/profile.ts';
export type { KernelTiming, ProfileEntry, ProfileSource } from './profiling/profiler.ts';
export {
  type ActivationHooks,
  type ActivationSite,
  type AtPositions,
  activationNames,
  type Editor,
  type Editors,
  type LayerActivation,
  layerActivations,
  type Observer,
  type Observers,
  type OuterActivation,
  outerActivations,
} from './protocol/activations.ts';
export type { Companion, CompanionContext, CompanionSequence } from './protocol/companions.ts';
export type {
  AttendedResult,
  AttendNext,
  AttentionCall,
  AttentionChange,
  AttentionContext,
  AttentionNeeds,
  AttentionOutcome,
  AttentionOutputs,
  AttentionRestriction,
  HeadSelection,
  LayerContext,
  MethodState,
  Phase,
  Qkv,
  QkvChange,
  QkvTransform,
} from './protocol/contexts.ts';
export { type DenoisingStep, gridTokens, type TokenGrid } from './protocol/denoising.ts';
export {
  type AxisPositions,
  EncodedPrompt,
  type PromptFacts,
  type PromptFeatures,
} from './protocol/encoded-prompt.ts';
export type { ContentPart, ImageInput, ImageMessage, ImagePrompt, RawImage } from './protocol/image-prompt.ts';
export { IndexStore, NoSelectionError } from './protocol/index-store.ts';
export {
  type LayerChoice,
  type LayerRange,
  type LayersChoice,
  resolveLayer,
  resolveLayers,
} from './protocol/layer-choice.ts';
export type {
  CacheContext,
  DenoisingStepContext,
  LayerNext,
  LogitsContext,
  Method,
  RunSettings,
  StepContext,
  StepPlace,
  TokenSelection,
  TokenStepContext,
} from './protocol/method.ts';
export { attention, bareRun, type MethodAttentionOptions } from './protocol/method-attention.ts';
export { MethodRun, type RunStart } from './protocol/method-run.ts';
export {
  type ChatMessage,
  type FinishReason,
  type ForwardCompanion,
  type ForwardOptions,
  type ForwardResult,
  type GeneratedPiece,
  type GenerateOptions,
  type LayerKind,
  type ModelFacts,
  type ModelHandle,
  type PrefillOptions,
  type Prompt,
  PromptCache,
  type RowFeatures,
  type RunOptions,
  type TokenInput,
  type TokenizerHandle,
  type TokenLogprobs,
} from './protocol/model-handle.ts';
export { nearNames } from './protocol/near-names.ts';
export { OptionError } from './protocol/option-error.ts';
export * from './protocol/option-schema.ts';
export type { PassSequence, RotaryRows, RowPositions } from './protocol/pass.ts';
export { checkRequirements, type ModelFeature, type Requirements } from './protocol/requirements.ts';
export type { LayerBody } from './protocol/run-layer.ts';
export type { DenoisingSchedule, DenoisingStage } from './protocol/schedule.ts';
export { type ScoredRows, type ScorerOptions, type ScorerState, scorer } from './protocol/scorer.ts';
export {
  type ImageGrid,
  type ImageSpan,
  imagePositions,
  missingSpans,
  type PromptSpans,
  type SequenceSpans,
  type SpanName,
  type TextSpan,
} from './protocol/spans.ts';
export { TextlessModel } from './protocol/textless-model.ts';
export { philox, type Words4 } from './random/philox.ts';
export { RandomStream } from './random/random-stream.ts';
export type { Seed } from './random/seed.ts';
export {
  gumbelNumbers,
  normalNumbers,
  type RandomOptions,
  randomGumbel,
  randomNormal,
  randomUniform,
  uniformNumbers,
} from './random/uniform.ts';
export * from './statistics/index.ts';
export { type BlockType, blockSizes, blockTypes, isBlockType } from './tensor/blocks/block-type.ts';
export { decodeBlocks } from './tensor/blocks/decode-blocks.ts';
export { recodeBlocks, recodedType } from './tensor/blocks/recode-blocks.ts';
export {
  bfloatBitsToFloats,
  type Dtype,
  decodeElements,
  encodeElements,
  floatsToHalfBits,
  type HostArray,
  halfBitsToFloats,
  isQuantized,
  type PlainDtype,
  type QuantizedDtype,
  quantizedDtypes,
} from './tensor/dtype.ts';
export type { Shape } from './tensor/shape.ts';
export type { Storage, StoragePiece } from './tensor/storage.ts';
export { Tensor } from './tensor/tensor.ts';
export type { Tuning } from './tuning/tuning.ts';

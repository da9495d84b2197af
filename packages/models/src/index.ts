export type { Architecture, NetworkInput } from './architectures/architecture.ts';
export { Transformer, type TransformerLoadOptions } from './architectures/transformer/transformer.ts';
export type { DecoderConfig } from './diffusion/autoencoder/decoder-config.ts';
export type { ImageDecoder } from './diffusion/autoencoder/image-decoder.ts';
export { DiffusionModel, type PredictOptions } from './diffusion/model/diffusion-model.ts';
export type {
  Condition,
  Conditioning,
  DenoisingInput,
  DenoisingNetwork,
  SampleSize,
} from './diffusion/networks/denoising-network.ts';
export { DiffusionPipeline } from './diffusion/pipeline/diffusion-pipeline.ts';
export type { DiffusionGenerateOptions, RgbaImage, StepEvent } from './diffusion/pipeline/generate-options.ts';
export { GeneratedImages } from './diffusion/pipeline/generated-images.ts';
export { type LoadDiffusionModelOptions, loadDiffusionModel } from './diffusion/pipeline/load-diffusion-model.ts';
export type {
  BetaSchedule,
  PredictionType,
  TimestepSpacing,
  VarianceSchedule,
} from './diffusion/schedulers/noise-schedule.ts';
export { planSteps, type StepRequest } from './diffusion/schedulers/plan-steps.ts';
export type { DpmConfig, FlowSchedule } from './diffusion/schedulers/scheduler-config.ts';
export { type SchedulerConfig, type SolverName, schedulerConfig } from './diffusion/schedulers/scheduler-config.ts';
export type { SolverStep, StepWeights } from './diffusion/schedulers/solver-step.ts';
export { encodePng } from './images/encode-png.ts';
export { type LoadImageOptions, loadImage } from './images/load-image.ts';
export {
  AutoModelForCausalLM,
  AutoModelForImageTextToText,
  AutoModelForMaskedLM,
  AutoTokenizer,
  type PretrainedModelOptions,
  type PretrainedOptions,
} from './language-model/auto-classes.ts';
export { Chat, type ChatOptions } from './language-model/chat.ts';
export { DecodeSteps } from './language-model/decode-steps.ts';
export type { MemoryEstimate, MemoryRequest } from './language-model/estimate-memory.ts';
export type { BatchPiece } from './language-model/generate-batch.ts';
export { type LanguageForwardOptions, LanguageModel } from './language-model/language-model.ts';
export { type LoadLanguageModelOptions, loadLanguageModel } from './language-model/load-language-model.ts';
export type { LoadModelOptions } from './language-model/open-checkpoint.ts';
export type { FeatureRange, PassPart, PrefillPass } from './language-model/prefill-passes.ts';
export type { WarmUpOptions } from './language-model/warm-up.ts';
export { loadMaskedDiffusionModel } from './masked-diffusion/load-masked-diffusion-model.ts';
export { MaskedDiffusionModel } from './masked-diffusion/masked-diffusion-model.ts';
export type {
  DenoisedStep,
  DenoisedText,
  DenoiseOptions,
  DenoisingAlgorithm,
} from './masked-diffusion/options.ts';
export { HubError, type HubErrorCode } from './resolve/hub/hub-error.ts';
export type { ModelLicence } from './resolve/licence.ts';
export { resolveModel } from './resolve/resolve-model.ts';
export {
  type DownloadProgress,
  type ModelFiles,
  ModelNotFoundError,
  type ModelSourceFailure,
  type ModelSourceName,
  type ResolveOptions,
} from './resolve/types.ts';
export { modelFilesFromUrls } from './resolve/url-files.ts';
export { type ContinuationScore, perplexity, type Score, scoreContinuation } from './scoring/scoring.ts';
export { type SpecialTokens, type Tokenizer, TokenizerError, type TokenStream } from './tokenizer/types.ts';
export {
  attentionOverlay,
  type ImageAttention,
  type ImageAttentionOptions,
  imageAttention,
} from './vision-language/image-attention.ts';
export type { ImageSettings } from './vision-language/image-settings.ts';
export {
  type LoadVisionLanguageModelOptions,
  loadVisionLanguageModel,
} from './vision-language/load-vision-language-model.ts';
export { VisionLanguageModel } from './vision-language/vision-language-model.ts';
export type { LoadDtype } from './weights/loadable-weights.ts';
export {
  type MaskedDiffusionConfig,
  ModelConfigError,
  type NormConfig,
  type PositionConfig,
  type RotaryFrequencies,
  type StorageConfig,
  type TransformerConfig,
} from './weights/model-config.ts';
export {
  type ByteSource,
  type MetadataValue,
  type RowRange,
  type WeightDtype,
  type WeightFile,
  WeightFileError,
  type WeightFileErrorCode,
  type WeightInfo,
} from './weights/types.ts';

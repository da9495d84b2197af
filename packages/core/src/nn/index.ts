export type { FileTensor } from '../tensor/tensor-file.ts';
export { loadCheckpoint, saveCheckpoint, type TrainingState } from './checkpoint.ts';
export {
  type AssociativeRecallBatch,
  type AssociativeRecallOptions,
  associativeRecall,
} from './data/associative-recall.ts';
export { ImageBatches, type ImageBatchesOptions, type Images } from './data/image-batches.ts';
export {
  splitTokens,
  type TokenBatch,
  type Tokens,
  TokenWindows,
  type TokenWindowsOptions,
} from './data/token-windows.ts';
export { Initializer } from './initializer.ts';
export {
  CausalLm,
  type CausalLmForwardOptions,
  type CausalLmLossOptions,
  type CausalLmParts,
} from './language-model/causal-lm.ts';
export { type CausalLmConfig, type FullCausalLmConfig, huggingFaceConfig } from './language-model/config.ts';
export {
  MultiHeadAttention,
  type MultiHeadAttentionOptions,
  type ProjectedHeads,
} from './language-model/multi-head-attention.ts';
export { type LayerContext, TokenMixer } from './language-model/token-mixer.ts';
export { TokenModule, TransformerBlock } from './language-model/transformer-block.ts';
export { Module, type NamePattern } from './module.ts';
export { type Gradients, type LossAndGradients, moduleGradients } from './module-gradients.ts';
export { BatchNorm, type BatchNormSettings, GroupNorm, type GroupNormSettings } from './modules/channel-norm.ts';
export {
  Conv1d,
  Conv2d,
  type ConvolutionSettings,
  ConvTranspose1d,
  ConvTranspose2d,
  type TransposedConvolutionSettings,
} from './modules/convolution.ts';
export { Embedding, type EmbeddingSizes } from './modules/embedding.ts';
export { Linear, type LinearSizes } from './modules/linear.ts';
export { Lora, type LoraOptions } from './modules/lora.ts';
export { GatedMlp, Mlp, type MlpSizes } from './modules/mlp.ts';
export { LayerNorm, RmsNorm } from './modules/norm.ts';
export {
  Gru,
  GruCell,
  Lstm,
  LstmCell,
  type RecurrentSettings,
  type StackedRecurrentSettings,
} from './modules/recurrent.ts';
export { AdamW, type AdamWOptions } from './optim/adamw.ts';
export { Ema, type EmaOptions } from './optim/ema.ts';
export { accumulateGradients, type ClippedGradients, clipGradients } from './optim/gradients.ts';
export type { GroupSettings, ParameterGroup } from './optim/groups.ts';
export type { Optimizer, OptimizerState } from './optim/optimizer.ts';
export { type CosineScheduleOptions, cosineSchedule, type Schedule } from './optim/schedules.ts';
export { Sgd, type SgdOptions } from './optim/sgd.ts';
export { Parameter } from './parameter.ts';
export { setPrecision } from './precision.ts';
export { recomputeModule } from './recompute-module.ts';
export type { CheckpointStore } from './training/checkpoint-store.ts';
export { train } from './training/train.ts';
export type {
  BatchPlace,
  LossScaling,
  TrainingEntry,
  TrainingProgress,
  TrainingResult,
  TrainOptions,
} from './training/types.ts';

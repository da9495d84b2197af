export { AttentionMixer, type AttentionMixerOptions } from './attention-mixer.ts';
export { BaseConv, type BaseConvOptions } from './base-conv.ts';
export { BasedModel } from './based-model.ts';
export type { BasedConfig, FullBasedConfig } from './config.ts';
export type { LayerKind } from './layer-kind.ts';
export {
  type BasedLinearAttentionOptions,
  type BasedLinearAttentionResult,
  basedDecodeStep,
  basedLinearAttention,
} from './linear-attention.ts';
export { LinearMixer, type LinearMixerOptions } from './linear-mixer.ts';
export type { CachedContext, CachedMixer } from './mixer.ts';
export { type BasedOptions, basedOptions, type ResolvedBasedOptions } from './options.ts';
export { based360M, based1300M, type RecallMixer, recallModel } from './presets.ts';
export { slidingWindowAttention, visibleTokens } from './sliding-window.ts';
export { stateBytes } from './state-size.ts';
export { taylorFeatureCount, taylorFeatureMap } from './taylor-feature-map.ts';

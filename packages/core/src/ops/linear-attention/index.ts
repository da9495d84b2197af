export { type FeatureMap, featureCount } from './feature-map.ts';
export { type LinearAttentionOptions, type LinearAttentionResult, linearAttention } from './linear-attention.ts';
export { type LinearAttentionGradients, linearAttentionGradient } from './linear-attention-gradient.ts';
export { linearAttentionStep } from './linear-attention-step.ts';
export type { FeatureOptions } from './sizes.ts';
export { type LinearAttentionState, linearAttentionStateShapes } from './state.ts';

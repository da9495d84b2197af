export { combinePartials } from './combine-partials.ts';
export { flashAttention } from './flash-attention.ts';
export {
  type FlashAttention1Options,
  flashAttention1,
  flashAttention1Backward,
  flashAttention1Options,
} from './flash-attention-1.ts';
export { type FlashAttentionBackwardOptions, flashAttentionBackward } from './flash-attention-backward.ts';
export { flashDecode } from './flash-decode.ts';
export {
  type FlashAttentionOptions,
  flashAttentionOptions,
  type ResolvedFlashAttentionOptions,
} from './options.ts';
export type { FlashAttentionResult } from './result.ts';
export {
  type StandardAttentionOptions,
  type StandardAttentionResult,
  standardAttention,
  standardAttentionBackward,
  standardAttentionOptions,
} from './standard-attention.ts';

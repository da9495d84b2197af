export { type GiftParts, gift } from './gift.ts';
export { type InformativeWords, informativePositions } from './informative.ts';
export { enhanceRow } from './kernels/enhance-row.ts';
export { gazeShift } from './kernels/gaze-shift.ts';
export { saliencyMultipliers } from './kernels/saliency-multipliers.ts';
export { type GiftLayers, publishedSettings } from './layers.ts';
export { type GiftOptions, giftOptions, type ResolvedGiftOptions } from './options.ts';
export type { Saliency } from './saliency.ts';
export type { GiftState } from './state.ts';

export { type HeadFactors, headFactors } from './kernels/head-factors.ts';
export { defaultLayers } from './layers.ts';
export { type ResolvedVhrOptions, type VhrOptions, vhrOptions } from './options.ts';
export type { VhrState } from './state.ts';
export { tokenDivergence } from './token-divergence.ts';
export { visionAwareHeadReinforcement } from './vision-aware-head-reinforcement.ts';

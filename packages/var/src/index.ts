export { findSinkDimensions, publishedSinkDimensions, sinkScores } from './detection.ts';
export { tokenSets } from './kernels/token-sets.ts';
export { type ResolvedVarOptions, sinkThreshold, type VarOptions, varOptions } from './options.ts';
export { type Redistributed, redistribute } from './redistribution.ts';
export type { VarState } from './state.ts';
export { visualAttentionRedistribution } from './visual-attention-redistribution.ts';

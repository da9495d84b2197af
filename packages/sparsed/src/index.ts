export { type BlockBudget, type BlockSplit, blockBudgets, splitBlocks } from './block-budgets.ts';
export { patternDensity } from './density.ts';
export { type ResolvedSparseDOptions, type SparseDOptions, sparseDOptions } from './options.ts';
export { longContext, shortContext } from './published.ts';
export { choosingStep, type StepKind, stepKind } from './schedule.ts';
export { type BlockPattern, blockImportance, type SelectBlocksOptions, selectBlocks } from './select-blocks.ts';
export { sparseD } from './sparsed.ts';
export { type PatternKey, SparseDState } from './state.ts';

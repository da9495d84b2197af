export { sparsedEntry } from './entry.ts';
export { type SparsedStepOptions, sparsedStepEntry } from './step-entry.ts';

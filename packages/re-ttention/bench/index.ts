export { reTtentionEntry } from './entry.ts';
export { type ReTtentionStepOptions, reTtentionStepEntry } from './step-entry.ts';

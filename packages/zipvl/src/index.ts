export { compressionRatio, savedOperations, savedWithProbes } from './accounting.ts';
export { importantTokens, makeProbes, normalizedScores, type Probes, probeScores } from './importance.ts';
export { type CompressedRows, compressRows } from './mixed-cache.ts';
export { type ResolvedZipvlOptions, type ZipvlOptions, zipvlOptions } from './options.ts';
export { inverseVisits, type ProbeChoice, probeRows } from './probe-rows.ts';
export { type SparsePrefillOptions, sparsePrefillAttention } from './sparse-prefill.ts';
export type { PendingChoice, ZipvlLayer, ZipvlState } from './state.ts';
export { zipvl } from './zipvl.ts';

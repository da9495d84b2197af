import type { SparseDOptions } from './options.ts';

/** Settings of the published results on long contexts (RULER). */
export const longContext: SparseDOptions = { skip: 0.2, select: 0.3, blockSize: 128 };

/** Settings of the published results on short ones (MMLU, GSM8K, HumanEval). */
export const shortContext: SparseDOptions = { skip: 0.2, select: 0.5, blockSize: 32 };

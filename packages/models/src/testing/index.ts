export { ByteTokenizer } from './byte-tokenizer.ts';
export { memoryWeightFile } from './memory-weight-file.ts';
export { type RandomLlamaOptions, randomLlama, randomMaskedDiffusion, smallLlamaConfig } from './random-llama.ts';

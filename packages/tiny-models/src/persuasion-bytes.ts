import type { TinyModel } from './tiny-model.ts';

// Whole addresses, one by one: bundlers find assets by this form alone.
const files = {
  'config.json': new URL('../checkpoints/persuasion-bytes/config.json', import.meta.url),
  'tokenizer.json': new URL('../checkpoints/persuasion-bytes/tokenizer.json', import.meta.url),
  'model.safetensors': new URL('../checkpoints/persuasion-bytes/model.safetensors', import.meta.url),
};

/** A Llama of 1.5 M parameters whose tokens are bytes: 8 layers, 4 query heads on 2 key/value heads, a context of 1,024 bytes. */
export const persuasionBytes: TinyModel = {
  name: 'persuasion-bytes',
  title: 'Persuasion, byte by byte',
  description:
    'A 1.5M-parameter byte model of the Llama family, trained on volume II of Jane Austen’s Persuasion alone.',
  files,
};

import type { TinyModel } from './tiny-model.ts';

// Whole addresses, one by one: bundlers find assets by this form alone.
const files = {
  'config.json': new URL('../checkpoints/persuasion-diffusion/config.json', import.meta.url),
  'tokenizer.json': new URL('../checkpoints/persuasion-diffusion/tokenizer.json', import.meta.url),
  'model.safetensors': new URL('../checkpoints/persuasion-diffusion/model.safetensors', import.meta.url),
};

/** A masked-diffusion language model of 1.5 M parameters whose tokens are bytes: Dream's network with 8 layers, 4 query heads on 2 key/value heads, a context of 1,024 bytes. */
export const persuasionDiffusion: TinyModel = {
  name: 'persuasion-diffusion',
  title: 'Persuasion, unmasked byte by byte',
  description:
    'A 1.5M-parameter masked-diffusion byte model of the Dream family, made of persuasion-bytes: volume II of Jane Austen’s Persuasion.',
  files,
};

import type { TinyModel } from './tiny-model.ts';

// Whole addresses, one by one: bundlers find assets by this form alone.
const files = {
  'config.json': new URL('../checkpoints/scenes/config.json', import.meta.url),
  'tokenizer.json': new URL('../checkpoints/scenes/tokenizer.json', import.meta.url),
  'tokenizer_config.json': new URL('../checkpoints/scenes/tokenizer_config.json', import.meta.url),
  'chat_template.jinja': new URL('../checkpoints/scenes/chat_template.jinja', import.meta.url),
  'preprocessor_config.json': new URL('../checkpoints/scenes/preprocessor_config.json', import.meta.url),
  'processor_config.json': new URL('../checkpoints/scenes/processor_config.json', import.meta.url),
  'model.safetensors': new URL('../checkpoints/scenes/model.safetensors', import.meta.url),
};

/** A model of SmolVLM's layout and 5 M parameters that answers questions about scenes: an image is 64 tokens, the decoder has 6 layers of 8 heads. */
export const scenes: TinyModel = {
  name: 'scenes',
  title: 'Scenes with questions',
  description:
    'A 5M-parameter vision-language model in the layout of SmolVLM (Idefics3), trained on generated pictures of shapes, numbers and charts.',
  files,
};

import type { TinyModel } from './tiny-model.ts';

// Whole addresses, one by one: bundlers find assets by this form alone.
const files = {
  'config.json': new URL('../checkpoints/shapes-dit/config.json', import.meta.url),
  'scheduler_config.json': new URL('../checkpoints/shapes-dit/scheduler_config.json', import.meta.url),
  'diffusion_pytorch_model.safetensors': new URL(
    '../checkpoints/shapes-dit/diffusion_pytorch_model.safetensors',
    import.meta.url,
  ),
};

/** What the classes are called, by their numbers. */
const classes = ['disc', 'square', 'triangle', 'ring'].flatMap((shape) =>
  ['warm', 'cool'].flatMap((colours) => ['plain', 'striped'].map((surface) => `${surface} ${colours} ${shape}`)),
);

/** A class-conditional diffusion transformer of 4.3 M parameters on pixels: 32 by 32, 256 tokens, 8 layers of 5 heads. */
export const shapesDit: TinyModel & { readonly classes: readonly string[] } = {
  name: 'shapes-dit',
  title: 'Shapes, out of noise',
  description:
    'A 4.3M-parameter diffusion transformer of the DiT family, trained on pictures of shapes that a seed draws.',
  files,
  classes,
};

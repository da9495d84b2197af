export { persuasionBytes } from './persuasion-bytes.ts';
export { persuasionDiffusion } from './persuasion-diffusion.ts';
export { shapesDit } from './shapes-dit.ts';
export { loadTinyDiffusion, loadTinyMaskedDiffusion, loadTinyModel, type TinyModel } from './tiny-model.ts';

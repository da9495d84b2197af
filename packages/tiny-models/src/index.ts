export { persuasionBytes } from './persuasion-bytes.ts';
export { persuasionDiffusion } from './persuasion-diffusion.ts';
export * from './scenes/index.ts';
export { scenes } from './scenes-model.ts';
export { shapesDit } from './shapes-dit.ts';
export {
  loadTinyDiffusion,
  loadTinyMaskedDiffusion,
  loadTinyModel,
  loadTinyVisionLanguageModel,
  type TinyModel,
} from './tiny-model.ts';
export {
  pixelTensor,
  scenesConfig,
  TrainableVisionLanguageModel,
  type VisionLanguageBatch,
  type VisionLanguageConfig,
} from './trainable-vision-language.ts';

export { persuasionBytes } from './persuasion-bytes.ts';
export { loadTinyModel, type TinyModel } from './tiny-model.ts';

export { type CarveInput, type CarveResult, carve } from './carve.ts';
export { attentionEntropy, colorComplexity, type TextureOptions, textureComplexity } from './complexity.ts';
export { contrastAttention } from './contrast.ts';
export { isFlat } from './flat-map.ts';
export { type FusionWeights, fuseMaps, type Size } from './fuse-maps.ts';
export {
  type CarveOptions,
  carveOptions,
  defaultLayers,
  type ResolvedCarveOptions,
} from './options.ts';
export { type AttentionMaps, recordAttention } from './record-attention.ts';
export { maskImage, refineImage } from './refine-image.ts';
export {
  type Box,
  percentile,
  type Region,
  type RegionOptions,
  type Selection,
  selectRegions,
} from './select-regions.ts';

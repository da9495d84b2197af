export { correctCache } from './cache-correction.ts';
export {
  expectedRecall,
  type LayerOverlap,
  type LayerOverlapOptions,
  layerOverlap,
  type ReselectionCandidate,
  rankReselectionLayers,
} from './layer-overlap.ts';
export { type LayerRole, layerRoles } from './layer-roles.ts';
export { type ResolvedTidalDecodeOptions, type TidalDecodeOptions, tidalDecodeOptions } from './options.ts';
export type { TidalDecodeState } from './state.ts';
export { tidalDecode } from './tidal-decode.ts';

export { correctCache } from './cache-correction.ts';
export { type LayerRole, layerRoles } from './layer-roles.ts';
export { type ResolvedTidalDecodeOptions, type TidalDecodeOptions, tidalDecodeOptions } from './options.ts';
export { expectedRecall, type ReselectionCandidate, rankReselectionLayers } from './reselection-ranking.ts';
export type { TidalDecodeState } from './state.ts';
export { tidalDecode } from './tidal-decode.ts';

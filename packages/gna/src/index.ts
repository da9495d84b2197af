export { gna } from './gna.ts';
export { type Neighborhood, type NeighborhoodOptions, type PerAxis, resolveNeighborhood } from './neighborhood.ts';
export {
  type DifferentiableNeighborhoodOptions,
  differentiableNeighborhoodAttention,
  type NeighborhoodAttentionOptions,
  type NeighborhoodAttentionResult,
  neighborhoodAttention,
} from './neighborhood-attention.ts';
export { type GnaOptions, gnaKernelOptions, gnaOptions, type ResolvedGnaOptions } from './options.ts';
export { NeighborhoodPlan, type NeighborhoodPlanOptions, type PlannedTokens } from './plan.ts';
export { type PublishedSetting, publishedSettings } from './published.ts';
export {
  type ChooseTilesOptions,
  chooseTiles,
  type FindPerfectOptions,
  findPerfect,
  type PerfectSetting,
  type StrideResult,
  sweepStrides,
} from './search.ts';
export { endToEndSpeedup, type SimulateOptions, type Simulation, simulate, type TileOptions } from './simulate.ts';
export type { GnaState } from './state.ts';
export { neighborhoodMask, neighborhoodWindow } from './window.ts';

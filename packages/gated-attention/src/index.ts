export { activateGate, applyGate, type GateForm } from './apply-gate.ts';
export { type GatedSizes, gateParameters } from './gate.ts';
export { GatedAttention, type ObservedAttention } from './gated-attention.ts';
export { type LoadGatedAttentionOptions, loadGatedAttention } from './load-checkpoint.ts';
export {
  type GatedAttentionOptions,
  gatedAttentionOptions,
  type ResolvedGatedAttentionOptions,
} from './options.ts';
export {
  type GatedProjection,
  type GateLayout,
  joinGatedQueryProjection,
  type QueryAndGate,
  splitGatedQueryProjection,
} from './query-projection.ts';
export { gatedAttentionReference, type ReferenceLayer, type ReferenceOutput } from './reference.ts';
export { type LayerStatistics, layerStatistics } from './statistics.ts';

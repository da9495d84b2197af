export { type BudgetPolicy, type BudgetPolicyOptions, solveBudgetPolicy } from './budget-policy.ts';
export { type HylraSettings, hylra } from './hylra.ts';
export { type BudgetRule, budgetRule, type SensitivityCuts, sensitiveLayers } from './layer-choices.ts';
export {
  checkLayerPolicy,
  FULL,
  fullLayers,
  jumpPolicy,
  type LayerPolicy,
  leastOverlap,
  pathSimilarity,
} from './layer-policy.ts';
export { type HylraOptions, hylraOptions, type ResolvedHylraOptions } from './options.ts';
export { type LayerProfile, type ProfileOptions, profileLayers } from './profile-layers.ts';
export { shippedPolicies } from './shipped-policies.ts';
export type { HylraState } from './state.ts';
export {
  checkFingerprint,
  fingerprintOf,
  type ModelFingerprint,
  parsePolicy,
  type StoredPolicy,
  storePolicy,
} from './stored-policy.ts';
export { solveThresholdPolicy, type ThresholdPolicy, type ThresholdPolicyOptions } from './threshold-policy.ts';

import type { LayerPolicy } from './layer-policy.ts';

/** What one run of HyLRA keeps. */
export interface HylraState {
  /** By global layer. */
  readonly policy: LayerPolicy;
  /** The index among all layers of each global layer. */
  readonly layerOf: readonly number[];
  /** Full layers whose tokens a later layer reuses. */
  readonly sources: ReadonlySet<number>;
  /** The state of a second continuation of the same prompt. */
  fork(): HylraState;
}

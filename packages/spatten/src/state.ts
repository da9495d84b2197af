import type { LayerTrace } from './accounting.ts';
import type { Cascade } from './cascade.ts';

/** What one run of SpAtten keeps. */
export interface SpattenState {
  readonly cascade: Cascade;
  /** By layer that prunes. */
  readonly tokenKeep: readonly number[];
  readonly headKeep: readonly number[];
  /** What each layer of the last pass read. */
  trace: LayerTrace[];
  /** Layer that the running pass reached last, and the tokens that the pass has seen; -1 before the first. */
  reached: number;
  seen: number;
  /** The state of a second continuation of the same prompt. */
  fork(): SpattenState;
  dispose(): void;
}

import type { Tensor } from '@saccade/core';
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
  /** f32 [1]: heads whose low bits were read, over all layers and steps; undefined before the first. */
  refetched: Tensor | undefined;
  /** Heads that decided whether to. */
  decisions: number;
  /** Layer that the running pass reached last, and the tokens that the pass has seen; -1 before the first. */
  reached: number;
  seen: number;
  /** The state of a second continuation of the same prompt. */
  fork(): SpattenState;
  dispose(): void;
}

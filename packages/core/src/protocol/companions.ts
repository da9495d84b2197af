import type { KvCache } from '../cache/kv-cache.ts';
import type { MethodState } from './contexts.ts';
import type { ModelHandle } from './model-handle.ts';

/** A further sequence that runs in lockstep with the one that was asked for, and gets every token that this one gets. */
export interface Companion {
  /** Its prompt. */
  readonly ids: readonly number[];
  /** Whether the run's methods act on it too. Default false: it runs as the model alone would. */
  readonly withMethods?: boolean;
}

/** What the companions of a run are made from. */
export interface CompanionContext<State extends MethodState = MethodState> {
  readonly model: ModelHandle;
  /** The prompt. */
  readonly ids: readonly number[];
  readonly state: State;
}

/** A companion of a run that has begun. */
export interface CompanionSequence extends Companion {
  /** Lives as long as the run. */
  readonly cache: KvCache;
}

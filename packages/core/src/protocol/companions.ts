import type { KvCache } from '../cache/kv-cache.ts';
import type { MethodState } from './contexts.ts';
import type { EncodedPrompt } from './encoded-prompt.ts';
import type { ModelHandle } from './model-handle.ts';

/** A further sequence that runs in lockstep with the one that was asked for, and gets every token that this one gets. */
export interface Companion {
  /** Its prompt. */
  readonly ids: readonly number[];
  /** What is known of its prompt, and images in it; an {@link EncodedPrompt} with these `ids`. */
  readonly prompt?: EncodedPrompt;
  /** Whether it runs beside the prompt alone and leaves when tokens are generated. Default false. */
  readonly promptOnly?: boolean;
  /** Whether the run's methods act on it too. Default false: it runs as the model alone would. */
  readonly withMethods?: boolean;
}

/** What the companions of a run are made from. */
export interface CompanionContext<State extends MethodState = MethodState> {
  readonly model: ModelHandle;
  /** Ids of the prompt. */
  readonly ids: readonly number[];
  /** The prompt; `prompt.withoutImages()` is the same text as if there were none. */
  readonly prompt: EncodedPrompt;
  readonly state: State;
}

/** A companion of a run that has begun. */
export interface CompanionSequence extends Companion {
  /** Lives as long as the run. */
  readonly cache: KvCache;
}

import { checkInteger } from '../attention/check-inputs.ts';
import { chooseRows, type EvictionPolicy, resolveEvictionPolicy } from '../cache/eviction-policy.ts';
import type { PaddedRows } from '../cache/types.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { AttentionContext, AttentionNeeds, AttentionOutcome } from './contexts.ts';
import type { Method } from './method.ts';

/** The rows of a layer's cache that are scored, with the attention that has just read them. */
export interface ScoredRows extends PaddedRows {
  readonly outcome: AttentionOutcome;
}

/** What a scorer keeps in a run. */
export interface ScorerState {
  /** Tokens seen when the prompt ended, or at the first token after a prompt that ran without the method. */
  origin: number | undefined;
  /** Evictions of a layer so far. */
  evictions: number;
}

/** Options of {@link scorer}. */
export interface ScorerOptions extends EvictionPolicy {
  readonly name: string;
  /**
   * A score for each cached row, f32 [B, Hkv, M]; higher is kept. Entries past a head's length are ignored, and there may be
   * more than M. Called when a layer is about to evict; records GPU work only.
   */
  readonly score: (context: AttentionContext<ScorerState>, rows: ScoredRows) => Tensor;
  /** Statistics that `score` finds in `rows.outcome`; computed in the passes that evict only. */
  readonly needs?: AttentionNeeds;
  /** Evicts again after every so many decoded tokens. Default null: at the end of the prompt only. */
  readonly every?: number | null;
  /** Further options of the method, for reports. */
  readonly options?: Readonly<Record<string, unknown>>;
}

/**
 * A method from one function: scores the cached tokens of each key/value head and evicts those with the lowest scores from
 * the global layers, which frees their memory. At the end of the prompt, and then every `every` tokens.
 *
 * Peak memory: the whole prompt is cached until its last chunk; then layers shrink one after another.
 *
 * @throws ArgumentError for a policy out of range
 */
export function scorer(given: ScorerOptions): Method<ScorerState> {
  const { name, score, needs, every = null, options = {}, ...rest } = given;
  const policy = resolveEvictionPolicy(rest);
  if (every !== null) checkInteger('scorer: every', every, 1, 2 ** 31);

  const isDue = (context: AttentionContext<ScorerState>): boolean => {
    const { state, phase, globalLayer, seen, endsPrompt } = context;
    if (phase === 'prefill' && endsPrompt) state.origin = seen;
    if (phase === 'decode') state.origin ??= seen;
    if (globalLayer < 0 || state.origin === undefined || (phase === 'prefill' && !endsPrompt)) return false;
    return seen === state.origin || (every !== null && (seen - state.origin) % every === 0);
  };

  return {
    name,
    options: { ...policy, every, ...options },
    phases: ['prefill', 'decode'],
    requires: { direction: 'causal', globalLayers: 1 },
    evicts: true,
    createState: () => ({ origin: undefined, evictions: 0 }),
    ...(needs ? { needs: (context) => (isDue(context) ? needs : undefined) } : {}),

    afterAttention(context, outcome) {
      const { cache } = outcome;
      if (!cache || !isDue(context)) return;
      context.gpu.tidy(() => {
        const rows = cache.padded();
        const kept = chooseRows(score(context, { ...rows, outcome }), rows, policy, context.seen);
        if (!kept) return;
        cache.evict(every === null ? kept : { ...kept, room: every });
        context.state.evictions++;
      });
    },
  };
}

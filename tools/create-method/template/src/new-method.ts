import { type AttentionContext, type Method, parseOptions, type TokenList } from '@saccade/core';
import { keptPositions } from './kept-positions.ts';
import { type NewMethodOptions, newMethodOptions } from './options.ts';
import type { NewMethodState } from './state.ts';

/**
 * New method: decode steps read the first tokens and the most recent ones. Prefill stays dense; nothing is evicted.
 *
 * @throws OptionError for an option out of its range.
 */
export function newMethod(options: NewMethodOptions = {}): Method<NewMethodState> {
  const resolved = parseOptions(newMethodOptions, options);
  return {
    name: 'new-method',
    options: resolved,
    phases: ['decode'],
    requires: { direction: 'causal', globalLayers: 1 },

    createState: () => ({ keysRead: 0 }),

    attend(context, call, next) {
      // Layers with a window of their own, or without attention over the cache, stay as they are.
      if (context.globalLayer < 0) return next();
      const positions = keptPositions(context.keyLength, resolved);
      context.state.keysRead += positions.length;
      if (positions.length === context.keyLength) return next();
      // All layers of a step read the same positions: the first one makes the list.
      if (!context.indices.has(context.layer))
        context.indices.set(context.layer, tokenList(context, call.q.shape, positions));
      return next({ tokens: context.indices.get(context.layer) });
    },
  };
}

/** The same positions for every sequence and key/value head: u32 [B, Hkv, K]. */
function tokenList(
  { gpu, model }: AttentionContext,
  [batches = 1]: readonly number[],
  positions: readonly number[],
): TokenList {
  const lists = batches * model.kvHeads;
  const rows = Array.from({ length: lists }, () => positions).flat();
  return { indices: gpu.tensor(rows, [batches, model.kvHeads, positions.length], 'u32'), per: 'kvHead' };
}

import type { AttentionCall, AttentionContext, Method, MethodState, TokenList } from '@saccade/core';
import type { BaselineOptions } from './options.ts';

/** A baseline: dense in the first global layers, one token list per sparse layer in decode steps. */
export function sparseLayers<State extends MethodState>(
  name: string,
  options: BaselineOptions,
  createState: () => State,
  select: (context: AttentionContext<State>, call: AttentionCall, topK: number) => TokenList,
): Method<State> {
  return {
    name,
    options: { ...options },
    phases: ['decode'],
    requires: { direction: 'causal', globalLayers: 1 },
    createState,
    attend(context, call, next) {
      if (context.globalLayer < options.denseLayers) return next();
      return next({ tokens: select(context, call, Math.min(options.topK, context.keyLength)) });
    },
  };
}

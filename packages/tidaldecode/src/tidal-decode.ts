import { type AttentionOptions, type Method, parseOptions, topKeys } from '@saccade/core';
import { correctCache } from './cache-correction.ts';
import { layerRoles } from './layer-roles.ts';
import { type TidalDecodeOptions, tidalDecodeOptions } from './options.ts';
import type { TidalDecodeState } from './state.ts';

/**
 * TidalDecode: position persistent sparse attention (arXiv 2410.05076). In each decode step two layers score the whole
 * cache; the layers behind each of them read only the tokens that it picked. Prefill stays dense; nothing is evicted.
 *
 * @throws OptionError for an option out of its range; for layers that the model lacks, when the run starts.
 */
export function tidalDecode(options: TidalDecodeOptions = {}): Method<TidalDecodeState> {
  const resolved = parseOptions(tidalDecodeOptions, options);
  const { topK, selectionPer, forceCurrent, correctionInterval } = resolved;
  return {
    name: 'tidaldecode',
    options: resolved,
    phases: ['decode'],
    requires: { direction: 'causal', globalLayers: 1, wholeCache: true },
    listsKeys: true,
    steadySteps: true,

    createState(model) {
      const globalLayers = model.facts.layerKinds.filter((kind) => kind === 'global').length;
      return { roles: layerRoles(resolved, globalLayers), corrected: 0 };
    },

    attend(context, call, next) {
      const role = context.state.roles[context.globalLayer];
      if (role === 'sparse') return next({ tokens: context.indices.get(context.layer) });
      if (role === 'select') {
        const selected = topKeys(call.q, call.keys, {
          k: Math.min(topK, context.keyLength),
          ...lengthsOf(call.options),
          per: selectionPer,
          forceNewest: forceCurrent ? 1 : 0,
        });
        context.indices.set(context.layer, selected);
      }
      return next();
    },

    step(context) {
      if (context.phase !== 'decode') return;
      const polluted = context.decoded - context.state.corrected;
      if (correctionInterval === null || polluted < correctionInterval) return;
      correctCache(context.model, context.cache, context.ids, polluted);
      context.state.corrected = context.decoded;
    },
  };
}

/** The valid keys, as the engine is told of them. */
function lengthsOf({ keyLength, keyBound }: AttentionOptions): Pick<AttentionOptions, 'keyLength' | 'keyBound'> {
  return { ...(keyLength === undefined ? {} : { keyLength }), ...(keyBound === undefined ? {} : { keyBound }) };
}

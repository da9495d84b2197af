import { type Method, type ModelFacts, parseOptions, RefusedError, topKeys } from '@saccade/core';
import { checkLayerPolicy, FULL, type LayerPolicy } from './layer-policy.ts';
import { type HylraOptions, hylraOptions } from './options.ts';
import { shippedPolicies } from './shipped-policies.ts';
import type { HylraState } from './state.ts';
import { checkFingerprint, fingerprintOf, firstDifference, type StoredPolicy } from './stored-policy.ts';

/** Options of {@link hylra}: those of its schema, where the policy may also be a stored one. */
export interface HylraSettings extends Omit<HylraOptions, 'policy'> {
  /** A list of sources, or a stored policy, which is refused on another model. Default: the one shipped for the model. */
  readonly policy?: LayerPolicy | StoredPolicy | null | undefined;
}

/**
 * HyLRA: hybrid layer reuse attention (arXiv 2602.00777). A policy that was searched offline says which layers run full
 * attention; each of the others reads only the top-k tokens of the last full layer before it. The cache stays whole.
 *
 * @throws OptionError for an option out of its range; ArgumentError for a policy that contradicts itself or the model, and
 *   RefusedError for one of another model, when the run starts.
 */
export function hylra(settings: HylraSettings = {}): Method<HylraState> {
  const { policy: given = null, ...rest } = settings;
  const stored = given !== null && !isList(given) ? given : undefined;
  const sources = given !== null && isList(given) ? given : (stored?.policy ?? null);
  const resolved = parseOptions(hylraOptions, { ...rest, policy: sources });
  const { topK, phases, selectionPer, ranking, sinkTokens, recentTokens, queryBlock } = resolved;
  return {
    name: 'hylra',
    options: resolved,
    phases,
    requires: { direction: 'causal', globalLayers: 1, wholeCache: true },
    listsKeys: true,
    steadySteps: true,

    createState({ facts }) {
      if (stored) checkFingerprint(stored, facts);
      const layerOf = facts.layerKinds.flatMap((kind, layer) => (kind === 'global' ? [layer] : []));
      const policy = sources ?? shippedPolicy(facts);
      checkLayerPolicy(policy, layerOf.length);
      const state: HylraState = {
        policy,
        layerOf,
        sources: new Set(policy.filter((source) => source !== FULL)),
        // Nothing in it changes during a run.
        fork: () => state,
      };
      return state;
    },

    needs({ globalLayer, state, keyLength }) {
      const ranks = ranking === 'probability' && state.sources.has(globalLayer) && keyLength > topK;
      return ranks ? { logSumExp: true } : undefined;
    },

    attend(context, call, next) {
      const { globalLayer, keyLength, queryLength, state } = context;
      const source = state.policy[globalLayer];
      if (source === undefined || keyLength <= topK) return next();
      if (source !== FULL) {
        return next({ tokens: context.indices.get(context.layer, state.layerOf[source]) });
      }
      const result = next();
      if (!state.sources.has(globalLayer)) return result;
      const shared = Math.min(queryBlock, topK, queryLength);
      // Every query of a block finds its own position in the block's set.
      const forceNewest = Math.min(topK, Math.max(recentTokens, shared));
      const { tokens: _, blocks: __, keyStarts: ___, ...where } = call.options;
      const selected = topKeys(call.q, call.keys, {
        ...where,
        k: topK,
        per: selectionPer,
        forceNewest,
        forceOldest: Math.min(sinkTokens, topK - forceNewest),
        ...(queryLength > 1 ? { queryBlock: shared } : {}),
        ...(ranking === 'probability' && result.logSumExp ? { logSumExp: result.logSumExp } : {}),
      });
      context.indices.set(context.layer, selected);
      return result;
    },
  };
}

function isList(given: LayerPolicy | StoredPolicy): given is LayerPolicy {
  return Array.isArray(given);
}

function shippedPolicy(facts: ModelFacts): LayerPolicy {
  const own = fingerprintOf(facts);
  const found = shippedPolicies.find(({ fingerprint }) => !firstDifference(fingerprint, own));
  if (found) return found.policy;
  throw new RefusedError(
    `hylra has no policy for ${facts.name}. Give one as option policy: profileLayers and solveThresholdPolicy search it, ` +
      'jumpPolicy makes a plain one.',
  );
}

import {
  type AttentionCall,
  type AttentionOptions,
  add,
  attentionProbabilities,
  cast,
  type LayerCacheSpec,
  type LayerContext,
  type Method,
  type ModelFacts,
  PagedRows,
  RefusedError,
  scale,
  sum,
  type Tensor,
} from '@saccade/core';
import { Cascade } from './cascade.ts';
import { headLengths } from './head-lengths.ts';
import { type ResolvedSpattenOptions, resolveOptions, type SpattenOptions } from './options.ts';
import { progressiveProbabilities } from './progressive.ts';
import { prunedValues } from './pruned-values.ts';
import { checkCascade, keptCount, linearSchedule } from './schedule.ts';
import type { SpattenState } from './state.ts';

type Context = LayerContext<SpattenState>;

/**
 * SpAtten (arXiv 2012.09852): cascade token pruning, cascade head pruning and local value pruning by attention
 * probabilities, without training. What a layer prunes stays pruned in all later layers of the pass. In encoders tokens
 * leave the sequence; in decoders they leave as keys and values, and every step begins with all of them again.
 *
 * @throws OptionError for an option out of its range; ArgumentError for schedules that rise or do not fit the model, when the
 *   run starts.
 */
export function spatten(options: SpattenOptions = {}): Method<SpattenState> {
  const resolved = resolveOptions(options);
  const { valueKeep, phases, protectFirst, normalizeByVisits, requantThreshold } = resolved;
  const prunesHeads = resolved.averageHeadKeep < 1 || (resolved.headKeep?.some((share) => share < 1) ?? false);
  const prunesValues = valueKeep < 1;

  const enter = (context: Context): boolean => {
    if (context.globalLayer < 0) return false;
    enterLayer(context);
    return true;
  };

  return {
    name: 'spatten',
    options: resolved,
    phases,
    requires: { globalLayers: 1, wholeCache: true },
    listsKeys: true,

    createState({ gpu, facts }) {
      const { kvHeads } = facts;
      const { tokenKeep, headKeep } = schedules(resolved, facts);
      const make = (cascade: Cascade): SpattenState => ({
        cascade,
        tokenKeep,
        headKeep,
        trace: [],
        refetched: undefined,
        decisions: 0,
        reached: -1,
        seen: -1,
        fork: () => make(cascade.fork()),
        dispose() {
          cascade.dispose();
          this.refetched?.dispose();
        },
      });
      return make(new Cascade(gpu, { kvHeads, protectFirst, normalizeByVisits }));
    },

    ...(requantThreshold === null ? {} : { createCache: (context) => progressiveCache(resolved, context.globalLayer) }),

    needs({ globalLayer, phase }) {
      const explicit = prunesValues || (requantThreshold !== null && phase === 'decode');
      return globalLayer < 0 || explicit ? undefined : { keyMass: { per: 'allHeads' } };
    },

    selectHeads(context) {
      if (!enter(context) || !prunesHeads) return undefined;
      const { aliveHeads } = context.state.cascade;
      return aliveHeads && cast(aliveHeads, 'u32');
    },

    attend(context, call, next) {
      if (!enter(context)) return next();
      const { state, keyLength, queryLength, phase, start, model } = context;
      const { cascade } = state;
      const { alive } = cascade;
      const keys = alive?.size ?? keyLength;
      const values = prunesValues ? keptCount(valueKeep, keys) : keys;
      const capacity = call.keys.shape[2] as number;
      state.trace.push({
        layer: context.globalLayer,
        phase,
        queries: queryLength,
        allKeys: keyLength,
        keys,
        kvHeads: cascade.aliveHeadCount,
        values,
      });
      const pass = { start: phase === 'encode' ? 0 : start, queries: queryLength };
      const progressive = requantThreshold !== null && phase === 'decode';
      if (prunesValues || progressive) {
        const probabilities = explicitProbabilities(context, call, progressive ? requantThreshold : undefined);
        const output = prunedValues(call.values, probabilities, alive, values);
        cascade.addMass(sum(probabilities, { axis: [0, 1, 2] }), capacity, pass);
        if (prunesHeads) cascade.addOutput(output);
        return { output };
      }
      const result = next(alive && { tokens: { indices: alive.reshape([1, 1, keys]), per: 'kvHead' } });
      const keyMass = result.statistics?.keyMass;
      if (!keyMass)
        throw new RefusedError('spatten ranks tokens by attention’s probabilities, which another method replaces.');
      const mass = scale(keyMass, model.heads);
      cascade.addMass(mass.reshape([capacity]), capacity, pass);
      if (prunesHeads) cascade.addOutput(result.output);
      return result;
    },

    selectTokens({ globalLayer, phase, queryLength, state }) {
      const keep = state.tokenKeep[globalLayer + 1];
      if (phase !== 'encode' || globalLayer < 0 || keep === undefined) return undefined;
      const count = keptCount(keep, state.trace[0]?.allKeys ?? queryLength);
      return count < queryLength ? state.cascade.removeTokens(count) : undefined;
    },
  };
}

/** Once per layer and pass: begins a pass, or narrows what is alive to the layer's share. */
function enterLayer({ globalLayer, phase, keyLength, seen, state }: Context): void {
  const { cascade } = state;
  if (globalLayer === state.reached && seen === state.seen) return;
  state.reached = globalLayer;
  state.seen = seen;
  if (globalLayer === 0) {
    cascade.begin(keyLength);
    state.trace = [];
  }
  // An encoder's tokens have left the sequence already.
  if (phase !== 'encode') cascade.narrowTokens(keptCount(state.tokenKeep[globalLayer] as number, keyLength));
  cascade.narrowHeads(keptCount(state.headKeep[globalLayer] as number, cascade.settings.kvHeads));
}

/** Probabilities of the keys that are alive, f32 [1, H, N, K]: by all bits, or with a threshold progressively. */
function explicitProbabilities(context: Context, call: AttentionCall, threshold: number | undefined): Tensor {
  const { state, keyLength } = context;
  const { alive, aliveHeads } = state.cascade;
  const {
    tokens: _,
    blocks: __,
    keyMultipliers: ___,
    normalizer: ____,
    keyLength: _____,
    keyBound: ______,
    ...where
  } = call.options;
  const listed = alive ? { tokens: { indices: alive.reshape([1, 1, alive.size]), per: 'kvHead' as const } } : {};
  const options = { ...where, ...listed } satisfies AttentionOptions;
  if (threshold === undefined) {
    return attentionProbabilities(call.q, call.keys, { ...options, ...headLengths(aliveHeads, keyLength) });
  }
  if (!(call.keys instanceof PagedRows)) {
    throw new RefusedError(
      'spatten: progressive quantization reads a cache whose keys hold low bits apart; prefill with this method.',
    );
  }
  const { probabilities, refetched } = progressiveProbabilities(call.q, call.keys, {
    ...options,
    keyLength,
    threshold,
    heads: aliveHeads,
  });
  const total = sum(refetched);
  const kept = context.gpu.keep(state.refetched ? add(state.refetched, total) : total);
  state.refetched?.dispose();
  state.refetched = kept;
  state.decisions += state.cascade.aliveHeadCount;
  return probabilities;
}

/** Keys with their low bits apart, values by token; newest tokens wait in full precision until their page is full. */
function progressiveCache(options: ResolvedSpattenOptions, globalLayer: number): LayerCacheSpec | undefined {
  if (globalLayer < 0) return undefined;
  const { highBits, lowBits, valueBits } = options;
  const keys = { bits: highBits + lowBits, lowBits, per: 'token', symmetric: true } as const;
  return { kind: 'paged', precision: { keys, values: { bits: valueBits, per: 'token' } } };
}

/** Share of heads and steps whose low bits were read; null before the first. One readback. */
export async function refetchShare(state: SpattenState): Promise<number | null> {
  if (!state.refetched) return null;
  const [count] = await state.refetched.read();
  return (count as number) / state.decisions;
}

function schedules(options: ResolvedSpattenOptions, facts: ModelFacts) {
  const layers = facts.layerKinds.filter((kind) => kind === 'global').length;
  const tokenKeep =
    options.tokenKeep ??
    linearSchedule(layers, { average: options.averageTokenKeep, freeFraction: options.freeTokenLayers });
  const headKeep =
    options.headKeep ??
    linearSchedule(layers, { average: options.averageHeadKeep, freeFraction: options.freeHeadLayers });
  checkCascade('tokenKeep', tokenKeep, layers);
  checkCascade('headKeep', headKeep, layers);
  return { tokenKeep, headKeep };
}

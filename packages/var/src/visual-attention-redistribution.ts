import {
  type AttentionCall,
  concatenate,
  imagePositions,
  type KeySets,
  type LayerContext,
  type Method,
  OptionError,
  parseOptions,
  RefusedError,
} from '@saccade/core';
import { findSinkDimensions, sinkScores } from './detection.ts';
import { tokenSets } from './kernels/token-sets.ts';
import { sinkThreshold, type VarOptions, varOptions } from './options.ts';
import { redistribute } from './redistribution.ts';
import { disposeKeySets, emptyState, type VarState } from './state.ts';

type Context = LayerContext<VarState>;

/**
 * Visual attention redistribution, VAR (arXiv 2503.03321): tokens of the image that draw attention whatever is asked (visual sinks) and
 * sinks of the text give a part of it to the other image tokens, in heads and rows that look at the image. Sinks are found in the
 * prompt, layer by layer, on the stream as earlier layers left it; they stay the same while the answer is written.
 *
 * @throws OptionError for an option out of its range, when the run starts also for dimensions that the model does not have
 */
export function visualAttentionRedistribution(options: VarOptions = {}): Method<VarState> {
  const resolved = parseOptions(varOptions, options);
  const changes = ({ layer, model, sequence }: Context) =>
    sequence === 0 &&
    layer >= resolved.firstLayer &&
    !(resolved.skipLastLayer && layer === model.layers - 1) &&
    model.layerKinds[layer] === 'global';

  return {
    name: 'var',
    options: resolved,
    phases: ['prefill', 'decode'],
    requires: { direction: 'causal', globalLayers: 1, spans: ['image'], wholeCache: true },
    wholePrompt: true,

    async createState(model) {
      const { hiddenSize } = model.facts;
      const given = resolved.sinkDimensions;
      const beyond = given?.find((dimension) => dimension >= hiddenSize);
      if (beyond !== undefined)
        throw new OptionError('sinkDimensions', beyond, `integers below ${hiddenSize}, the hidden size`);
      return emptyState(given ?? (await findSinkDimensions(model)), sinkThreshold(resolved, model.facts));
    },

    layer(context, x, next) {
      const { state, layer, gpu, queryLength, phase } = context;
      if (phase === 'prefill' && changes(context)) {
        if (context.start > 0)
          throw new RefusedError('var must see a prompt as a whole: it cannot go on behind an earlier one.');
        state.scores[layer]?.dispose();
        state.scores[layer] = gpu.keep(sinkScores(x.slice(0, 0, queryLength), state.dimensions));
        forgetSets(state, layer);
      }
      return next(x);
    },

    attend(context, call, next) {
      if (!changes(context)) return next();
      const keySets = setsOf(context, call);
      const { phase, queryLength } = context;
      const {
        returnLogSumExp: _lse,
        returnRowMaximum: _maximum,
        givenProbabilities: _given,
        ...options
      } = call.options;
      if (phase === 'decode') {
        return { output: redistribute(call.q, call.keys, call.values, { ...options, keySets }, resolved).output };
      }
      // Rows up to the end of the last image stay what they are, to the bit.
      const from = Math.max(...imagesOf(context).map(({ end }) => end));
      if (from >= queryLength) return next();
      const before = next().output;
      const { queryOffset } = options;
      const { output } = redistribute(
        call.q.slice(2, from, queryLength),
        call.keys,
        call.values,
        { ...options, ...(typeof queryOffset === 'number' ? { queryOffset: queryOffset + from } : {}), keySets },
        resolved,
      );
      // Both are views of [B, N, H, D]: joined there, nothing is copied twice.
      const rows = [before.slice(2, 0, from), output].map((part) => part.transpose(0, 2, 1, 3));
      return { output: concatenate(rows, 1).transpose(0, 2, 1, 3) };
    },
  };
}

function imagesOf({ spans }: Context) {
  return spans?.images ?? [];
}

function setsOf(context: Context, call: AttentionCall): KeySets {
  const { state, layer, gpu } = context;
  const rows = call.keys.shape[2] as number;
  const held = state.sets[layer];
  if (held?.rows === rows) return held.keySets;
  const scores = state.scores[layer];
  if (!scores) throw new RefusedError('var must see the prompt whose answer it steers: run the prompt with it, too.');
  forgetSets(state, layer);
  state.image ??= gpu.keep(imageFlags(context, scores.shape[0] as number));
  const keySets = tokenSets(scores, state.image, state.threshold, rows);
  for (const tensor of [keySets.ids, keySets.sortedIds, keySets.order]) gpu.keep(tensor);
  state.sets[layer] = { rows, keySets };
  return keySets;
}

function imageFlags(context: Context, tokens: number) {
  const flags = new Uint32Array(tokens);
  for (const image of imagesOf(context)) for (const position of imagePositions(image)) flags[position] = 1;
  return context.gpu.tensor(flags, [tokens], 'u32');
}

function forgetSets(state: VarState, layer: number): void {
  const held = state.sets[layer];
  if (held) disposeKeySets(held.keySets);
  state.sets[layer] = undefined;
}

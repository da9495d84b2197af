import {
  type AttentionCall,
  type AttentionOptions,
  attentionProbabilities,
  concatenate,
  type GivenProbabilities,
  imagePositions,
  type KeySets,
  type LayerContext,
  type Method,
  OptionError,
  parseOptions,
  RefusedError,
  type Tensor,
} from '@saccade/core';
import { findSinkDimensions, sinkScores } from './detection.ts';
import { redistributedRows } from './kernels/redistributed-rows.ts';
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
      const threshold = sinkThreshold(resolved, model.facts);
      const most = Math.sqrt(hiddenSize);
      if (threshold >= most) {
        console.warn(
          `var: a threshold of ${threshold} cannot be exceeded at a hidden size of ${hiddenSize} (at most ${most.toFixed(1)}): nothing will change.`,
        );
      }
      return emptyState(given ?? (await findSinkDimensions(model)), threshold);
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
      const where = whereOf(call);
      // Rows up to the end of the last image stay what they are, to the bit.
      const from = phase === 'decode' ? 0 : Math.max(...imagesOf(context).map(({ end }) => end));
      if (from >= queryLength) return next();
      const rows = rowsFrom(from, call, where);
      const { output, masses } = redistribute(
        rows.q,
        call.keys,
        call.values,
        { ...where, ...rows.place, keySets },
        resolved,
      );
      if (context.showsPattern) return next({ givenProbabilities: written(rows, call, where, masses, keySets) });
      if (from === 0) return { output };
      // Both are views of [B, N, H, D]: joined there, nothing is copied twice.
      const parts = [next().output.slice(2, 0, from), output].map((part) => part.transpose(0, 2, 1, 3));
      return { output: concatenate(parts, 1).transpose(0, 2, 1, 3) };
    },
  };

  /** The changed rows as probabilities, for who looks at them. */
  function written(
    { q, from, place }: ChangedRows,
    { keys }: AttentionCall,
    where: Where,
    masses: Tensor,
    keySets: KeySets,
  ): GivenProbabilities {
    const { gpu } = q;
    const [, heads = 0, count = 0] = q.shape;
    const numbers = Uint32Array.from({ length: 3 * heads * count }, (_, at) => {
      const row = Math.floor(at / 3);
      return [0, Math.floor(row / count), from + (row % count)][at % 3] as number;
    });
    const plain = attentionProbabilities(q, keys, { ...where, ...place });
    return {
      rows: gpu.tensor(numbers, [heads * count, 3], 'u32'),
      probabilities: redistributedRows(plain, masses, keySets, resolved),
    };
  }
}

/** The rows of a call that change, from one query on. */
interface ChangedRows {
  readonly q: Tensor;
  readonly from: number;
  readonly place: Pick<AttentionOptions, 'queryOffset'>;
}

function rowsFrom(from: number, { q }: AttentionCall, { queryOffset }: Where): ChangedRows {
  const place = typeof queryOffset === 'number' ? { queryOffset: queryOffset + from } : {};
  return { q: from === 0 ? q : q.slice(2, from, q.shape[2] as number), from, place };
}

/** Where a call looks, without what it asks back. */
function whereOf({ options }: AttentionCall) {
  const {
    returnLogSumExp: _lse,
    returnRowMaximum: _maximum,
    givenProbabilities: _given,
    order: _order,
    ...where
  } = options;
  return where;
}

type Where = ReturnType<typeof whereOf>;

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

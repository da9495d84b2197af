import {
  type AttentionCall,
  attentionProbabilities,
  type CompanionContext,
  imagePositions,
  type LayerContext,
  type Method,
  MethodRun,
  OptionError,
  parseOptions,
  RefusedError,
  type Tensor,
} from '@saccade/core';
import type { InformativeWords } from './informative.ts';
import { enhanceRow, firstImageRole, questionRole } from './kernels/enhance-row.ts';
import { layersOf, onePass } from './layers.ts';
import { type GiftOptions, giftOptions, type ResolvedGiftOptions } from './options.ts';
import { GiftState } from './state.ts';

/** What a method is given beside numbers. */
export interface GiftParts {
  /** Finds the words of the question that count. Default: all of it counts. */
  readonly informative?: InformativeWords | undefined;
}

/**
 * Gaze shift-guided enhancement, GIFT (arXiv 2510.22067): image tokens that gain attention while the question is read are salient. While
 * the answer is written, layers in the middle look more at them, and by the same share more at the question.
 *
 * @throws OptionError for an option out of its range; when the run starts also for layers that the model does not have
 */
export function gift(options: GiftOptions = {}, { informative }: GiftParts = {}): Method<GiftState> {
  const resolved = parseOptions(giftOptions, options);
  return {
    name: 'gift',
    options: resolved,
    phases: ['prefill', 'decode'],
    requires: { direction: 'causal', globalLayers: 1, spans: ['image', 'question'], wholeCache: true },
    wholePrompt: true,

    createState({ facts }) {
      const layers = layersOf(resolved, facts);
      if (layers.saliency.length === 0)
        throw new OptionError('saliencyLayers', resolved.saliencyLayers, 'at least one layer');
      return new GiftState(layers);
    },

    companions(context) {
      if (!onePass(context.state.layers)) analyse(context, resolved, informative);
      return [];
    },

    attend(context, call, next) {
      const { state, sequence, globalLayer, phase, queryLength } = context;
      if (sequence !== 0) return next();
      const { saliency, enhance } = state.layers;
      if (phase === 'prefill' && onePass(state.layers) && saliency.includes(globalLayer))
        state.saliency.observe(context, call, resolved, informative);
      if (!enhance.includes(globalLayer)) return next();
      if (phase === 'decode' && queryLength > 1)
        throw new RefusedError('gift changes one row at a time: steps of several tokens are not supported.');
      return next({ givenProbabilities: enhanced(context, call, resolved) });
    },
  };
}

/** The last row of a layer's attention, changed. */
function enhanced(
  { gpu, state, spans, queryLength, start }: LayerContext<GiftState>,
  { q, keys, options }: AttentionCall,
  numbers: ResolvedGiftOptions,
) {
  const { multipliers } = state;
  if (!multipliers || !spans)
    throw new RefusedError('gift must see the prompt whose answer it steers: run the prompt with it, too.');
  const { returnLogSumExp: _lse, returnRowMaximum: _maximum, givenProbabilities: _given, ...where } = options;
  const last = queryLength - 1;
  state.roles ??= gpu.keep(rolesOf({ gpu, spans }));
  const { roles } = state;
  const row = last === 0 ? q : q.slice(2, last, last + 1);
  const place = last === 0 ? where : { ...where, queryOffset: start + last };
  const probabilities = gpu.tidy(() => {
    const plain = attentionProbabilities(row, keys, place);
    const [, heads = 0, , columns = 0] = plain.shape;
    return enhanceRow(plain.reshape([heads, columns]), roles, multipliers, numbers);
  });
  return { rows: state.rowsOf(gpu, probabilities.shape[0] as number, last), probabilities };
}

function rolesOf({ gpu, spans }: { gpu: LayerContext['gpu']; spans: NonNullable<LayerContext['spans']> }): Tensor {
  const roles = new Uint32Array(spans.length);
  for (const position of spans.question?.positions ?? []) roles[position] = questionRole;
  const images = spans.images.flatMap(imagePositions);
  for (const [index, position] of images.entries()) roles[position] = firstImageRole + index;
  return gpu.tensor(roles, [roles.length], 'u32');
}

/** Runs the prompt once more, plainly and up to the last layer that is watched, before the run itself. */
function analyse(
  { model, prompt, state }: CompanionContext<GiftState>,
  numbers: ResolvedGiftOptions,
  informative: InformativeWords | undefined,
): void {
  // The run refuses such prompts by itself.
  if (!prompt.spans?.question || prompt.spans.images.length === 0) return;
  const watching: Method = {
    name: 'gift',
    options: {},
    phases: ['prefill'],
    wholePrompt: true,
    attend(context, call, next) {
      if (state.layers.saliency.includes(context.globalLayer))
        state.saliency.observe(context, call, numbers, informative);
      return next();
    },
  };
  const global = model.facts.layerKinds.flatMap((kind, layer) => (kind === 'global' ? [layer] : []));
  const run = MethodRun.startNow(model, watching);
  const cache = model.createCache(prompt.ids.length);
  try {
    run.phase = 'prefill';
    run.endsPrompt = true;
    cache.prompt = prompt.facts;
    const { features } = prompt;
    const layers = (global[Math.max(...state.layers.saliency)] as number) + 1;
    const given = features && { rows: features.positions, values: features.rows };
    model.forward(prompt.ids, { run, cache, features: given, logits: 'none', layers }).hidden.dispose();
  } finally {
    cache.dispose();
    run.dispose();
  }
}

import {
  type AttentionOutcome,
  contiguous,
  type LayerContext,
  type Method,
  multiply,
  parseOptions,
  RefusedError,
  resolveLayers,
  type Tensor,
} from '@saccade/core';
import { headFactors } from './kernels/head-factors.ts';
import { defaultLayers } from './layers.ts';
import { type VhrOptions, vhrOptions } from './options.ts';
import { emptyState, type VhrState } from './state.ts';

/**
 * Vision-aware head reinforcement, VHR (arXiv 2412.13949): in chosen layers the outputs of the heads that the image moves most are
 * multiplied. The prompt runs beside itself without its image, layer by layer, so that later layers compare what earlier ones have
 * reinforced already; then that branch leaves, and the heads stay chosen for the whole answer.
 *
 * @throws OptionError for an option out of its range; when the run starts also for layers that the model does not have
 */
export function visionAwareHeadReinforcement(options: VhrOptions = {}): Method<VhrState> {
  const resolved = parseOptions(vhrOptions, options);
  return {
    name: 'vhr',
    options: resolved,
    phases: ['prefill', 'decode'],
    requires: { direction: 'causal', globalLayers: 1, spans: ['image'] },
    wholePrompt: true,

    createState({ facts }) {
      const { layers } = resolved;
      return emptyState(layers ? resolveLayers(layers, facts.layers) : defaultLayers(facts.layers));
    },

    companions({ prompt }) {
      const without = prompt.withoutImages();
      return [{ ids: without.ids, prompt: without, promptOnly: true }];
    },

    afterAttention(context, outcome, companions) {
      const { layer, state, phase } = context;
      if (!state.layers.includes(layer)) return undefined;
      if (phase === 'prefill') choose(context, outcome, companions[0]);
      const factors = state.factors[layer];
      if (!factors)
        throw new RefusedError('vhr must see the prompt whose answer it steers: run the prompt with it, too.');
      const scaled = (output: Tensor) => multiply(output, factors.reshape([1, factors.size, 1, 1]));
      return { output: scaled(outcome.output), companions: companions.map(({ output }) => scaled(output)) };
    },
  };

  function choose(
    { gpu, state, layer }: LayerContext<VhrState>,
    { output }: AttentionOutcome,
    without: AttentionOutcome | undefined,
  ): void {
    if (!without) throw new RefusedError('vhr needs the prompt without its image beside it, which is missing here.');
    const { factors, divergence } = headFactors(lastRow(output), lastRow(without.output), resolved);
    state.factors[layer]?.dispose();
    state.divergences[layer]?.dispose();
    state.factors[layer] = gpu.keep(factors);
    state.divergences[layer] = gpu.keep(divergence);
  }
}

/** f32 [H, D]: what the heads give at the last position. */
function lastRow(output: Tensor): Tensor {
  const [, heads = 0, queries = 0, size = 0] = output.shape;
  return contiguous(output.slice(2, queries - 1, queries)).reshape([heads, size]);
}

import { type Gpu, OptionError } from '@saccade/core';
import { CausalLm, Initializer } from '@saccade/core/nn';
import { GatedAttention, gateParameters, type ResolvedGatedAttentionOptions } from '@saccade/gated-attention';
import type { Preset } from './presets.ts';

/** A language model whose attention layers are all of one kind. */
export interface GatedModel {
  readonly model: CausalLm;
  readonly layers: readonly GatedAttention[];
}

/** Matrices of a gated MLP, each of which has a row or a column per hidden unit. */
const mlpMatrices = 3;

/**
 * The model of a preset with this gate, and with as much less MLP as the gate has parameters (whole units, rounded so that the gated
 * model is never the larger one): from one seed always the same one.
 */
export function gatedModel(gpu: Gpu, preset: Preset, options: ResolvedGatedAttentionOptions, seed: number): GatedModel {
  const { task, config } = preset;
  const units = Math.ceil(gateParameters(config, options) / mlpMatrices / config.hiddenSize);
  const intermediateSize = config.intermediateSize - units;
  if (intermediateSize < 1)
    throw new OptionError('granularity', options.granularity, 'a gate that the MLP has room for');
  const layers: GatedAttention[] = [];
  const model = new CausalLm(
    new Initializer(gpu, { seed }),
    {
      ...config,
      intermediateSize,
      vocabularySize: task.vocabularySize,
      queryKeyNorm: task.queryKeyNorm,
      normEpsilon: 1e-6,
    },
    {
      attention: (_, full, init) => {
        const layer = new GatedAttention(init, { ...full, ...options });
        layers.push(layer);
        return layer;
      },
    },
  );
  return { model, layers };
}

/** Names files of weights: `none`, `elementwise`, `headwise`, or with everything that differs from the default. */
export function gateName(options: ResolvedGatedAttentionOptions): string {
  const { source, position, granularity, headSpecific, mode, activation } = options;
  if (source === 'none') return 'none';
  const parts = [
    source === 'input' ? [] : source,
    position === 'g1' ? [] : position,
    granularity,
    headSpecific ? [] : 'shared',
    mode === 'multiplicative' ? [] : mode,
    activation === 'sigmoid' ? [] : activation,
  ];
  return parts.flat().join('-');
}

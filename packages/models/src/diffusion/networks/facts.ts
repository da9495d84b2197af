import { gridTokens, layerActivations, type ModelFacts, type TokenGrid } from '@saccade/core';
import type { DiffusionTransformerConfig } from '../config/transformer-config.ts';

/** Facts about a transformer for methods: all layers attend to all tokens. */
export function transformerFacts(name: string, config: DiffusionTransformerConfig, tokenGrid: TokenGrid): ModelFacts {
  const { architecture, layers, heads, headSize } = config;
  return {
    name,
    architecture,
    layers,
    layerKinds: new Array(layers).fill('global'),
    heads,
    kvHeads: heads,
    headSize,
    hiddenSize: heads * headSize,
    vocabularySize: 0,
    contextLength: gridTokens(tokenGrid),
    causal: false,
    phases: ['denoise'],
    tokenGrid,
    // Probability rows are shown for one sequence; a pass here holds a batch.
    activations: layerActivations.filter((kind) => kind !== 'attention.gate' && kind !== 'attention.pattern'),
  };
}

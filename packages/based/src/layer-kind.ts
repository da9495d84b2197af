import type { Initializer } from '@saccade/core/nn';
import { AttentionMixer } from './attention-mixer.ts';
import { BaseConv } from './base-conv.ts';
import { LinearMixer } from './linear-mixer.ts';
import type { CachedMixer } from './mixer.ts';
import type { ResolvedBasedOptions } from './options.ts';

/** What mixes the tokens of a layer: Based's three, and full softmax attention to compare with. */
export type LayerKind = 'conv' | 'linear' | 'window' | 'attention';

type Made = ResolvedBasedOptions & { readonly hiddenSize: number };

const makers: Readonly<Record<LayerKind, (init: Initializer, options: Made) => CachedMixer>> = {
  conv: (init, options) => new BaseConv(init, options),
  linear: (init, options) => new LinearMixer(init, options),
  window: (init, { hiddenSize, heads, windowSize }) => new AttentionMixer(init, { hiddenSize, heads, windowSize }),
  attention: (init, { hiddenSize, heads }) => new AttentionMixer(init, { hiddenSize, heads }),
};

/** All kinds. */
export const layerKinds = Object.keys(makers) as readonly LayerKind[];

export function makeMixer(kind: LayerKind, init: Initializer, options: Made): CachedMixer {
  return makers[kind](init, options);
}

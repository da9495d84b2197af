import { type ModelFacts, resolveLayers } from '@saccade/core';
import type { GiftOptions, ResolvedGiftOptions } from './options.ts';

/** What the authors' code uses, by model. */
export const publishedSettings = {
  'llava-1.5-7b': { saliencyLayers: [11], enhanceLayers: range(12, 22), alpha: 5 },
  'llava-1.5-13b': { saliencyLayers: [10], enhanceLayers: range(14, 20), alpha: 5 },
  'qwen2-vl-7b': { saliencyLayers: [14], enhanceLayers: range(5, 18), alpha: 4 },
} as const satisfies Readonly<Record<string, GiftOptions>>;

/** Layers among the global ones of a model, ascending. */
export interface GiftLayers {
  readonly saliency: readonly number[];
  readonly enhance: readonly number[];
}

/**
 * The layers that options mean in a model.
 * @throws OptionError for a layer that the model does not have
 */
export function layersOf(
  { saliencyLayers, enhanceLayers }: Pick<ResolvedGiftOptions, 'saliencyLayers' | 'enhanceLayers'>,
  { layerKinds }: Pick<ModelFacts, 'layerKinds'>,
): GiftLayers {
  const count = layerKinds.filter((kind) => kind === 'global').length;
  const watched = Math.max(0, Math.min(count - 2, Math.round((11 * count) / 32)));
  const last = Math.min(count - 1, Math.max(watched + 1, Math.round((22 * count) / 32)));
  return {
    saliency: saliencyLayers ? resolveLayers(saliencyLayers, count, 'saliencyLayers') : [watched],
    enhance: enhanceLayers ? resolveLayers(enhanceLayers, count, 'enhanceLayers') : range(watched + 1, last),
  };
}

/** Whether saliency is known before the first layer that needs it, so that the prompt runs once. */
export function onePass({ saliency, enhance }: GiftLayers): boolean {
  return Math.max(...saliency) < Math.min(...enhance);
}

function range(first: number, last: number): number[] {
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => first + index);
}

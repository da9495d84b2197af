import { OptionError, resolveLayer } from '@saccade/core';
import type { ResolvedTidalDecodeOptions } from './options.ts';

/** What a layer does in a decode step: reads all keys, reads all and selects, or reads the selected ones. */
export type LayerRole = 'dense' | 'select' | 'sparse';

/**
 * The role of each global layer (paper, section 3.2): dense before s; s and the re-selection layers select; the rest is sparse.
 *
 * @param layers Number of global layers, L.
 * @throws OptionError when s is over L, or a re-selection layer is not in (s, L) or not in ascending order.
 */
export function layerRoles(options: ResolvedTidalDecodeOptions, layers: number): LayerRole[] {
  const start = options.sparseLayerStart;
  if (start > layers)
    throw new OptionError('sparseLayerStart', start, `an integer from 0 to ${layers} (this model's layers)`);
  const selecting = new Set(start < layers ? [start] : []);
  let previous = start;
  for (const choice of options.reselectionLayers) {
    const layer = resolveLayer(choice, layers, 'reselectionLayers');
    if (layer <= previous) {
      if (typeof choice !== 'number') continue;
      throw new OptionError(
        'reselectionLayers',
        choice,
        `ascending indices over sparseLayerStart (${start}) and below ${layers}`,
      );
    }
    selecting.add(layer);
    previous = layer;
  }
  return Array.from({ length: layers }, (_, layer) => {
    if (selecting.has(layer)) return 'select';
    return layer < start ? 'dense' : 'sparse';
  });
}

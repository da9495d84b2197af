import type { LayerOverlap } from '@saccade/core';

/**
 * Share of each sparse layer's own top-k that the selection handed to it contains, averaged over the sparse layers: the
 * recall of the paper's figure on re-selection.
 */
export function expectedRecall(
  profile: LayerOverlap,
  sparseLayerStart: number,
  reselectionLayers: readonly number[],
): number {
  const selecting = new Set([sparseLayerStart, ...reselectionLayers]);
  let current = sparseLayerStart;
  let sum = 0;
  let count = 0;
  for (let layer = sparseLayerStart + 1; layer < profile.layers; layer++) {
    if (selecting.has(layer)) current = layer;
    else {
      sum += profile.overlap[current * profile.layers + layer] as number;
      count++;
    }
  }
  return count === 0 ? 1 : sum / count;
}

/** One admissible choice of the re-selection layer and its expected recall. */
export interface ReselectionCandidate {
  readonly layer: number;
  readonly recall: number;
}

/** All admissible single re-selection layers, the one with the highest expected recall first. */
export function rankReselectionLayers(profile: LayerOverlap, sparseLayerStart = 2): ReselectionCandidate[] {
  const candidates: ReselectionCandidate[] = [];
  for (let layer = sparseLayerStart + 1; layer < profile.layers; layer++) {
    candidates.push({ layer, recall: expectedRecall(profile, sparseLayerStart, [layer]) });
  }
  return candidates.sort((a, b) => b.recall - a.recall || a.layer - b.layer);
}

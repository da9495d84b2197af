import { ArgumentError } from '@saccade/core';

/** What each global layer does: -1 runs full attention, i reuses the tokens of full layer i. */
export type LayerPolicy = readonly number[];

/** A full layer in a policy. */
export const FULL = -1;

/**
 * @param layers Number of global layers, L.
 * @throws ArgumentError where it has another length, does not begin with a full layer, or names a source that is not an
 *   earlier full layer.
 */
export function checkLayerPolicy(policy: LayerPolicy, layers: number): void {
  if (policy.length !== layers) {
    throw new ArgumentError(
      'policy',
      `${policy.length} entries`,
      `one for each of the model's ${layers} global layers`,
    );
  }
  policy.forEach((source, layer) => {
    if (source === FULL) return;
    if (layer === 0) throw new ArgumentError('policy[0]', source, `${FULL}: the first layer has nothing to reuse`);
    if (!(Number.isInteger(source) && source >= 0 && source < layer && policy[source] === FULL)) {
      throw new ArgumentError(`policy[${layer}]`, source, `${FULL}, or an earlier layer that is full`);
    }
  });
}

/** Indices of the layers that run full attention, C of them. */
export function fullLayers(policy: LayerPolicy): number[] {
  return policy.flatMap((source, layer) => (source === FULL ? [layer] : []));
}

/**
 * Every `interval`-th layer is full and the layers between reuse it: the static baseline that the paper calls Jump3 at 3.
 */
export function jumpPolicy(layers: number, interval: number): LayerPolicy {
  for (const [name, value] of Object.entries({ layers, interval }))
    if (!(Number.isInteger(value) && value >= 1)) throw new ArgumentError(name, value, 'an integer of 1 or more');
  return Array.from({ length: layers }, (_, layer) => (layer % interval === 0 ? FULL : layer - (layer % interval)));
}

/**
 * Sum of the overlaps along the path of a policy, a full layer counting 1 (paper, Eq. 4).
 *
 * @param overlap [L, L] row-major: of the sets of layer i with layer j's own.
 */
export function pathSimilarity(policy: LayerPolicy, overlap: ArrayLike<number>): number {
  return policy.reduce<number>((sum, source, layer) => sum + pathOverlap(source, layer, overlap, policy.length), 0);
}

/** The smallest overlap along the path, 1 where every layer is full. */
export function leastOverlap(policy: LayerPolicy, overlap: ArrayLike<number>): number {
  return policy.reduce<number>(
    (least, source, layer) => Math.min(least, pathOverlap(source, layer, overlap, policy.length)),
    1,
  );
}

function pathOverlap(source: number, layer: number, overlap: ArrayLike<number>, layers: number): number {
  return source === FULL ? 1 : (overlap[source * layers + layer] as number);
}

import { ArgumentError } from '../../errors.ts';

/**
 * Maps phi with phi(q) . phi(k) a polynomial of s = scale q . k:
 * - `identity`: s (Katharopoulos et al., "Transformers are RNNs", 2020); any other map may be applied to q and k before;
 * - `taylor`: 1 + s + s^2 / 2, the exponential to second order (Arora et al., "Based", 2024, section 4.1).
 */
export type FeatureMap = 'identity' | 'taylor';

const maps: readonly FeatureMap[] = ['identity', 'taylor'];

/** @throws ArgumentError */
export function checkFeatureMap(operation: string, map: FeatureMap): void {
  if (!maps.includes(map)) throw new ArgumentError(`${operation}: featureMap`, map, maps.join(', '));
}

/**
 * How many features a vector of `size` numbers has. Of the squares, `taylor` keeps x_i x_j with i <= j, those with i < j times
 * sqrt(2): (D + 1)(D + 2) / 2 numbers, with the same products as all 1 + D + D^2.
 */
export function featureCount(map: FeatureMap, size: number): number {
  return map === 'identity' ? size : ((size + 1) * (size + 2)) / 2;
}

/** WGSL of phi(q) . phi(k) and of its derivative by s. */
export const scoreText: Readonly<Record<FeatureMap, { readonly value: string; readonly slope: string }>> = {
  identity: { value: 's', slope: '1.0' },
  taylor: { value: '1.0 + s * (1.0 + 0.5 * s)', slope: '1.0 + s' },
};

/**
 * WGSL that runs over all features in their order. With x_0 = 1 they are products x_a x_b, a <= b, times `factor`: first 1 and the
 * vector itself (a = 0), then the squares. `identity` has those with a = 0 and b >= 1.
 *
 * @param body sees `a`, `b` (places in the vector that 1 was put in front of), `factor` and `feature`
 * @param around WGSL before and behind the features of one `a`
 */
export function featureLoop(
  map: FeatureMap,
  body: string,
  around: { readonly before?: string; readonly after?: string } = {},
): string {
  const { before = '', after = '' } = around;
  const [lastFirst, firstSecond] = map === 'identity' ? ['0u', '1u'] : ['params.size', 'a'];
  return `
  var feature = 0u;
  for (var a = 0u; a <= ${lastFirst}; a++) {
    ${before}
    for (var b = ${firstSecond}; b <= params.size; b++) {
      let factor = select(1.0, 0.70710678, a == b && a > 0u);
      ${body}
      feature++;
    }
    ${after}
  }`;
}

/** WGSL that finds `a`, `b` and `factor` of the feature number `feature`, see {@link featureLoop}. */
export function featurePlaces(map: FeatureMap): string {
  if (map === 'identity') return 'let a = 0u; let b = feature + 1u; let factor = 1.0;';
  return `
  var a = 0u;
  var b = feature;
  // Rows of the triangle get shorter by one.
  while (b > params.size) { b -= params.size - a; a++; }
  let factor = select(1.0, 0.70710678, a == b && a > 0u);`;
}

import { ArgumentError } from '@saccade/core';
import { checkLayers, checkOverlap } from './check-overlap.ts';
import { FULL, type LayerPolicy } from './layer-policy.ts';

/** What {@link solveThresholdPolicy} takes. */
export interface ThresholdPolicyOptions {
  /** Least overlap of a reused set with a layer's own, in (0, 1]; over 1 nothing is reused. */
  readonly theta: number;
  /** Layers that must run full attention. */
  readonly sensitive?: readonly number[];
  /** Most layers that reuse one full layer; bounds how far errors add up. Default: any number. */
  readonly maxChain?: number;
}

/** A policy, and what it costs and keeps. */
export interface ThresholdPolicy {
  readonly policy: LayerPolicy;
  /** Full layers, C. */
  readonly fullLayers: number;
  /** Sum of overlaps along the path, full layers counting 1: S (paper, Eq. 4). */
  readonly similarity: number;
}

/** Sums of the same overlaps in another order differ by less; real differences are far larger. */
const roundingError = 1e-9;

interface Path {
  readonly full: number;
  readonly similarity: number;
  readonly least: number;
  /** Source in force at each layer so far. */
  readonly sources: readonly number[];
}

/**
 * The policy with the fewest full layers whose reused sets overlap by `theta` or more and, among those, with the largest
 * cumulative similarity (paper, section on policy search, Eq. 4): dynamic programming over (source, layer). Ties go to
 * the larger least overlap, then to the smaller source.
 *
 * @param profile `overlap` [L, L] row-major, as `profileLayers` returns it.
 * @throws ArgumentError for overlaps outside 0 to 1, theta not over 0, layers that do not exist.
 */
export function solveThresholdPolicy(
  profile: { readonly overlap: ArrayLike<number>; readonly layers: number },
  options: ThresholdPolicyOptions,
): ThresholdPolicy {
  const { overlap, layers } = profile;
  const { theta, sensitive = [], maxChain = Number.POSITIVE_INFINITY } = options;
  checkOverlap('overlap', overlap, layers);
  checkLayers('sensitive', sensitive, layers);
  if (!(theta > 0)) throw new ArgumentError('theta', theta, 'a number over 0 (over 1: nothing is reused)');
  if (!(maxChain >= 1)) throw new ArgumentError('maxChain', maxChain, '1 or more');
  const forced = new Set(sensitive);
  let paths = new Map<number, Path>([[0, { full: 1, similarity: 1, least: 1, sources: [0] }]]);
  for (let layer = 1; layer < layers; layer++) {
    const next = new Map<number, Path>();
    for (const [source, path] of paths) {
      const similarity = overlap[source * layers + layer] as number;
      if (!forced.has(layer) && similarity >= theta && layer - source <= maxChain) {
        next.set(source, {
          full: path.full,
          similarity: path.similarity + similarity,
          least: Math.min(path.least, similarity),
          sources: [...path.sources, source],
        });
      }
    }
    const { full, similarity, least, sources } = best([...paths.values()]);
    next.set(layer, { full: full + 1, similarity: similarity + 1, least, sources: [...sources, layer] });
    paths = next;
  }
  const { full, similarity, sources } = best([...paths.values()]);
  return { policy: sources.map((source, layer) => (source === layer ? FULL : source)), fullLayers: full, similarity };
}

function best(paths: readonly Path[]): Path {
  return paths.reduce((kept, path) => (better(path, kept) ? path : kept));
}

function better(a: Path, b: Path): boolean {
  if (a.full !== b.full) return a.full < b.full;
  if (Math.abs(a.similarity - b.similarity) > roundingError) return a.similarity > b.similarity;
  if (a.least !== b.least) return a.least > b.least;
  const at = a.sources.findIndex((source, layer) => source !== b.sources[layer]);
  return at >= 0 && (a.sources[at] as number) < (b.sources[at] as number);
}

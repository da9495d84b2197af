import { ArgumentError } from '@saccade/core';
import { checkLayers, checkOverlap } from './check-overlap.ts';
import { FULL, type LayerPolicy } from './layer-policy.ts';

/** What {@link solveBudgetPolicy} takes. */
export interface BudgetPolicyOptions {
  /** Number of global layers, L. */
  readonly layers: number;
  /** Most full layers behind the first one, those of `rollback` among them. */
  readonly maxRefresh: number;
  /** Layers that must run full attention; their sets count as overlapping with nothing. */
  readonly rollback?: readonly number[];
}

/** A policy, and what it keeps. */
export interface BudgetPolicy {
  readonly policy: LayerPolicy;
  /** Smallest overlap along the path, over all tables. */
  readonly minOverlap: number;
  /** Sum of overlaps along the path over all tables, full layers counting 1 in each. */
  readonly sum: number;
}

interface Path {
  readonly sum: number;
  readonly sources: readonly number[];
}

/**
 * The policy with the largest least overlap at a bounded number of full layers and, among those, with the largest sum: the
 * variant of the public code. Both steps are exact: first the largest bound that a path can keep, then the best sum over
 * paths that keep it. (One pass that carries both numbers loses paths whose sum is better and whose bound is met later.)
 *
 * @param tables Overlaps [L, L] row-major, one table for each set of calibration texts: the least counts for the bound,
 *   all for the sum.
 * @throws ArgumentError for tables of another size, overlaps outside 0 to 1, layers that do not exist, or `maxRefresh`
 *   below the layers that must be full.
 */
export function solveBudgetPolicy(tables: readonly ArrayLike<number>[], options: BudgetPolicyOptions): BudgetPolicy {
  const { layers, maxRefresh, rollback = [] } = options;
  if (tables.length === 0) throw new ArgumentError('tables', 'none', 'at least one overlap matrix');
  for (const [index, table] of tables.entries()) checkOverlap(`tables[${index}]`, table, layers);
  checkLayers('rollback', rollback, layers);
  const forced = new Set(rollback);
  const least = forced.size - (forced.has(0) ? 1 : 0);
  if (!(Number.isInteger(maxRefresh) && maxRefresh >= least)) {
    throw new ArgumentError(
      'maxRefresh',
      maxRefresh,
      `an integer of ${least} or more, the rollback layers behind the first`,
    );
  }
  const cleared = (i: number, j: number) => forced.has(i) || forced.has(j);
  const leastOf = (i: number, j: number) =>
    cleared(i, j) ? 0 : Math.min(...tables.map((table) => table[i * layers + j] as number));
  const total = (i: number, j: number) =>
    cleared(i, j) ? 0 : tables.reduce((sum, table) => sum + (table[i * layers + j] as number), 0);
  const bounds = new Set([1]);
  for (let i = 0; i < layers; i++) for (let j = i + 1; j < layers; j++) bounds.add(leastOf(i, j));
  const descending = [...bounds].sort((a, b) => b - a);
  const pathFor = (bound: number) =>
    bestPath(layers, maxRefresh, tables.length, total, (i, j) => !forced.has(j) && leastOf(i, j) >= bound);
  // Whether a bound can be kept is monotone in it.
  let low = 0;
  let high = descending.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (pathFor(descending[middle] as number)) high = middle;
    else low = middle + 1;
  }
  const { sum, sources } = pathFor(descending[low] as number) as Path;
  const policy = sources.map((source, layer) => (source === layer ? FULL : source));
  const minOverlap = policy.reduce(
    (smallest, source, layer) => (source === FULL ? smallest : Math.min(smallest, leastOf(source, layer))),
    1,
  );
  return { policy, minOverlap, sum };
}

/** The path with the largest sum that reuses where it may, at most `maxRefresh` full layers behind the first; or none. */
function bestPath(
  layers: number,
  maxRefresh: number,
  fullLayer: number,
  value: (source: number, layer: number) => number,
  mayReuse: (source: number, layer: number) => boolean,
): Path | undefined {
  // paths[refreshes][source]
  let paths: (Path | undefined)[][] = [[{ sum: fullLayer, sources: [0] }]];
  for (let layer = 1; layer < layers; layer++) {
    const next: (Path | undefined)[][] = [];
    const offer = (refreshes: number, source: number, path: Path) => {
      const row = next[refreshes] ?? [];
      next[refreshes] = row;
      const kept = row[source];
      if (!kept || path.sum > kept.sum) row[source] = path;
    };
    paths.forEach((bySource, refreshes) => {
      bySource?.forEach((path, source) => {
        if (!path) return;
        if (mayReuse(source, layer))
          offer(refreshes, source, { sum: path.sum + value(source, layer), sources: [...path.sources, source] });
        if (refreshes < maxRefresh)
          offer(refreshes + 1, layer, { sum: path.sum + fullLayer, sources: [...path.sources, layer] });
      });
    });
    paths = next;
  }
  let found: Path | undefined;
  for (const bySource of paths) {
    bySource?.forEach((path) => {
      if (path && (!found || path.sum > found.sum)) found = path;
    });
  }
  return found;
}

import { ArgumentError } from '@saccade/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  budgetRule,
  checkLayerPolicy,
  fullLayers,
  jumpPolicy,
  leastOverlap,
  pathSimilarity,
  sensitiveLayers,
  solveBudgetPolicy,
  solveThresholdPolicy,
} from '../src/index.ts';
import { clippedMean, massCoverage } from '../src/mass-coverage.ts';
import { allPolicies, alongPath, fromUpperTriangle, toyOverlap } from './brute-force.ts';

const toy = { overlap: toyOverlap, layers: 6 };

/** Random overlaps of 2 to 8 layers, in hundredths so that ties occur. */
const overlaps = fc
  .integer({ min: 2, max: 8 })
  .chain((layers) =>
    fc.tuple(...Array.from({ length: layers - 1 }, (_, row) => hundredths(layers - 1 - row))).map(fromUpperTriangle),
  );

function hundredths(length: number) {
  return fc.array(
    fc.integer({ min: 0, max: 100 }).map((value) => value / 100),
    { minLength: length, maxLength: length },
  );
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

describe('the threshold policy', () => {
  it('check 1: the toy’s answers', () => {
    expect(solveThresholdPolicy(toy, { theta: 0.7 }).policy).toEqual([-1, 0, 0, -1, 3, 3]);
    expect(solveThresholdPolicy(toy, { theta: 0.85 }).policy).toEqual([-1, 0, -1, -1, 3, 3]);
    expect(solveThresholdPolicy(toy, { theta: 0.93 }).policy).toEqual([-1, -1, -1, -1, 3, -1]);
    expect(solveThresholdPolicy(toy, { theta: 0.7, sensitive: [4] }).policy).toEqual([-1, 0, 0, -1, -1, 4]);
  });

  it('check 1: equals brute force over all 2^(L-1) policies', () => {
    fc.assert(
      fc.property(overlaps, fc.integer({ min: 1, max: 100 }), fc.nat(7), (overlap, hundredth, forced) => {
        const layers = Math.sqrt(overlap.length);
        const theta = hundredth / 100;
        const sensitive = forced < layers ? [forced] : [];
        const allowed = allPolicies(layers).filter((policy) =>
          policy.every(
            (source, layer) =>
              source < 0 || (!sensitive.includes(layer) && (overlap[source * layers + layer] as number) >= theta),
          ),
        );
        const fewest = Math.min(...allowed.map((policy) => fullLayers(policy).length));
        const best = Math.max(
          ...allowed
            .filter((policy) => fullLayers(policy).length === fewest)
            .map((policy) => sum(alongPath(policy, overlap))),
        );
        const found = solveThresholdPolicy({ overlap, layers }, { theta, sensitive });
        expect(allowed).toContainEqual(found.policy);
        expect(found.fullLayers).toBe(fewest);
        expect(found.similarity).toBeCloseTo(best, 9);
      }),
    );
  });

  it('check 3: theta over 1, or every layer sensitive, makes every layer full', () => {
    const full = [-1, -1, -1, -1, -1, -1];
    expect(solveThresholdPolicy(toy, { theta: 1.01 }).policy).toEqual(full);
    expect(solveThresholdPolicy(toy, { theta: 0.1, sensitive: [0, 1, 2, 3, 4, 5] }).policy).toEqual(full);
  });

  it('check 5: a lower theta never has more full layers; the similarity is the policy’s own', () => {
    fc.assert(
      fc.property(overlaps, (overlap) => {
        const layers = Math.sqrt(overlap.length);
        let before = 0;
        for (const theta of [0.1, 0.3, 0.5, 0.7, 0.9, 1.1]) {
          const found = solveThresholdPolicy({ overlap, layers }, { theta });
          expect(found.fullLayers).toBeGreaterThanOrEqual(before);
          expect(found.fullLayers).toBe(fullLayers(found.policy).length);
          expect(found.similarity).toBeCloseTo(pathSimilarity(found.policy, overlap), 9);
          expect(leastOverlap(found.policy, overlap)).toBeGreaterThanOrEqual(Math.min(theta, 1));
          before = found.fullLayers;
        }
      }),
    );
  });

  it('breaks ties by the larger least overlap, then by the smaller source', () => {
    // Full layers 0 and 1 keep 0.5 + 0.9, layers 0 and 2 keep 0.7 + 0.7.
    const overlap = fromUpperTriangle([[0.7, 0.3, 0.2], [0.5, 0.9], [0.7]]);
    expect(solveThresholdPolicy({ overlap, layers: 4 }, { theta: 0.5 }).policy).toEqual([-1, 0, -1, 2]);
    const even = fromUpperTriangle([[0.7, 0.7, 0.2], [0.7, 0.7], [0.7]]);
    expect(solveThresholdPolicy({ overlap: even, layers: 4 }, { theta: 0.5 }).policy).toEqual([-1, 0, 0, -1]);
  });

  it('keeps chains as short as it is told', () => {
    const overlap = new Float64Array(36).fill(1);
    expect(solveThresholdPolicy({ overlap, layers: 6 }, { theta: 0.5 }).policy).toEqual([-1, 0, 0, 0, 0, 0]);
    const { policy } = solveThresholdPolicy({ overlap, layers: 6 }, { theta: 0.5, maxChain: 2 });
    policy.forEach((source, layer) => {
      if (source >= 0) expect(layer - source).toBeLessThanOrEqual(2);
    });
    expect(fullLayers(policy)).toHaveLength(2);
  });

  it('refuses what makes no sense, by name', () => {
    expect(() => solveThresholdPolicy(toy, { theta: 0 })).toThrow(/theta.*0/);
    expect(() => solveThresholdPolicy(toy, { theta: 0.5, sensitive: [6] })).toThrow(/sensitive.*6.*0 to 5/);
    expect(() => solveThresholdPolicy(toy, { theta: 0.5, maxChain: 0 })).toThrow(/maxChain/);
    expect(() => solveThresholdPolicy({ overlap: [1], layers: 6 }, { theta: 0.5 })).toThrow(/6 x 6/);
    expect(() => solveThresholdPolicy({ overlap: [1, 1.5, 0, 1], layers: 2 }, { theta: 0.5 })).toThrow(
      /overlap\[0\]\[1\].*1.5/,
    );
  });
});

describe('the budget policy', () => {
  it('check 2: the toy’s answers', () => {
    const expected = [
      [[-1, 0, 0, 0, 0, 0], 0.4],
      [[-1, 0, 0, -1, 3, 3], 0.8],
      [[-1, 0, -1, -1, 3, 3], 0.9],
      [[-1, -1, -1, -1, 3, 3], 0.9],
    ] as const;
    for (const [maxRefresh, [policy, least]] of expected.entries()) {
      const found = solveBudgetPolicy([toyOverlap], { layers: 6, maxRefresh });
      expect(found.policy).toEqual(policy);
      expect(found.minOverlap).toBeCloseTo(least, 9);
    }
  });

  it('check 2: equals brute force, over one table and over two', () => {
    const cases = fc.tuple(overlaps, fc.nat(7), fc.nat(7), fc.boolean());
    fc.assert(
      fc.property(cases, ([first, refresh, forced, two]) => {
        const layers = Math.sqrt(first.length);
        const rollback = forced < layers ? [forced] : [];
        const tables = two ? [first, first.map((value) => (value === 1 ? 1 : 1 - value))] : [first];
        const maxRefresh = Math.max(refresh, 1);
        const cleared = tables.map((table) =>
          table.map((value, at) => {
            const [i, j] = [Math.floor(at / layers), at % layers];
            return i !== j && (rollback.includes(i) || rollback.includes(j)) ? 0 : value;
          }),
        );
        const allowed = allPolicies(layers).filter(
          (policy) => fullLayers(policy).length - 1 <= maxRefresh && rollback.every((layer) => policy[layer] === -1),
        );
        const least = (policy: number[]) => Math.min(...cleared.map((table) => Math.min(...alongPath(policy, table))));
        const total = (policy: number[]) => sum(cleared.map((table) => sum(alongPath(policy, table))));
        const bound = Math.max(...allowed.map(least));
        const best = Math.max(...allowed.filter((policy) => least(policy) === bound).map(total));
        const found = solveBudgetPolicy(tables, { layers, maxRefresh, rollback });
        expect(allowed).toContainEqual(found.policy);
        expect(found.minOverlap).toBeCloseTo(bound, 9);
        expect(found.sum).toBeCloseTo(best, 9);
      }),
    );
  });

  it('refuses fewer refreshes than layers that must be full', () => {
    expect(() => solveBudgetPolicy([toyOverlap], { layers: 6, maxRefresh: 1, rollback: [2, 4] })).toThrow(
      /maxRefresh.*1.*2 or more/,
    );
    expect(() => solveBudgetPolicy([], { layers: 6, maxRefresh: 1 })).toThrow(ArgumentError);
  });
});

describe('layers that stay full', () => {
  it('are those over a cut', () => {
    const profile = { rnmse: Float32Array.of(0.1, 0.6, 0.2), divergence: Float32Array.of(0.5, 0, 0.01) };
    expect(sensitiveLayers(profile, { rnmse: 0.5 })).toEqual([1]);
    expect(sensitiveLayers(profile, { rnmse: 0.5, divergence: 0.1 })).toEqual([0, 1]);
    expect(() => sensitiveLayers({ rnmse: profile.rnmse }, { divergence: 0.1 })).toThrow(/divergence/);
  });

  it('are, by the budget rule, the tenth whose mass spreads widest', () => {
    const massRatio90 = Float32Array.from({ length: 20 }, (_, layer) => (layer % 7) / 10);
    expect(budgetRule({ layers: 20, massRatio90 })).toEqual({ rollback: [6, 13], maxRefresh: 8 });
    expect(() => budgetRule({ layers: 20, massRatio90 }, { sparsity: 2 })).toThrow(/sparsity/);
  });

  it('count key blocks until nine tenths of the mass are gathered', () => {
    expect(massCoverage([0.5, 0, 0, 0.4, 0.05, 0.05, 0, 0], 1)).toBeCloseTo(2 / 8);
    expect(massCoverage([0.5, 0, 0, 0.3, 0.15, 0.05], 1)).toBeCloseTo(3 / 6);
    expect(massCoverage([0.5, 0, 0, 0.3, 0.15, 0.05], 3)).toBeCloseTo(2 / 2);
    expect(clippedMean([1, 1, 1, 1, 9])).toBeCloseTo(1);
  });
});

describe('policies', () => {
  it('refresh at even distances in the static baseline', () => {
    expect(jumpPolicy(7, 3)).toEqual([-1, 0, 0, -1, 3, 3, -1]);
    expect(() => jumpPolicy(7, 0)).toThrow(/interval/);
  });

  it('are refused where they contradict themselves or the model', () => {
    expect(() => checkLayerPolicy([-1, 0], 3)).toThrow(/2 entries.*3 global layers/);
    expect(() => checkLayerPolicy([0, 0], 2)).toThrow(/policy\[0\]/);
    expect(() => checkLayerPolicy([-1, 0, 1], 3)).toThrow(/policy\[2\].*1/);
    expect(() => checkLayerPolicy([-1, 1], 2)).toThrow(/policy\[1\]/);
  });
});

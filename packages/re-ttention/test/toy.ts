import { normalNumbers } from '@saccade/core';
import type { HeadStep } from '../src/reference.ts';

/** N, D, heads and half the window of the toy. */
export const toy = { tokens: 256, headSize: 32, heads: 4, half: 4 } as const;

function normals(count: number, seed: number): Float32Array {
  return normalNumbers(count, { seed });
}

/** A random field over positions, smoothed by a Gaussian of width 2, of unit standard deviation: [N][D]. */
function smoothField(seed: number): number[][] {
  const { tokens, headSize } = toy;
  const noise = normals(tokens * headSize, seed);
  const reach = 8;
  const weights = Array.from({ length: 2 * reach + 1 }, (_, at) => Math.exp(-((at - reach) ** 2) / (2 * 2 ** 2)));
  const field = Array.from({ length: tokens }, (_, position) =>
    Array.from({ length: headSize }, (__, feature) =>
      weights.reduce((sum, weight, at) => {
        const from = (position + at - reach + tokens) % tokens;
        return sum + weight * (noise[from * headSize + feature] as number);
      }, 0),
    ),
  );
  const values = field.flat();
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
  return field.map((row) => row.map((value) => (value - mean) / deviation));
}

/** Heads whose attention follows positions, or, unstructured, nothing at all. */
export function toyHeads(structured: boolean): HeadStep[] {
  const { tokens, headSize, heads } = toy;
  return Array.from({ length: heads }, (_, head) => {
    const seed = 100 * (head + 1);
    const field = smoothField(seed);
    const offset = normals(headSize, seed + 1);
    const rows = (own: number, make: (noise: number, row: number, feature: number) => number) => {
      const noise = normals(tokens * headSize, seed + own);
      return Array.from({ length: tokens }, (__, row) =>
        Array.from({ length: headSize }, (___, feature) =>
          make(noise[row * headSize + feature] as number, row, feature),
        ),
      );
    };
    const following = (noise: number, row: number, feature: number) =>
      structured ? 1.3 * (field[row]?.[feature] as number) + 0.5 * noise : noise;
    return {
      q: rows(2, following),
      k: rows(3, following),
      v: rows(4, (noise, _row, feature) => noise + (offset[feature] as number)),
    };
  });
}

/** The heads with noise of size `epsilon` on queries, keys and values. */
export function perturbed(given: readonly HeadStep[], epsilon: number): HeadStep[] {
  return given.map((head, index) => {
    const shift = (rows: readonly (readonly number[])[], own: number) => {
      const noise = normals(toy.tokens * toy.headSize, 9000 + 10 * index + own);
      return rows.map((row, at) =>
        row.map((value, feature) => value + epsilon * (noise[at * row.length + feature] as number)),
      );
    };
    return { q: shift(head.q, 0), k: shift(head.k, 1), v: shift(head.v, 2) };
  });
}

/** Every policy of L layers that begins with a full layer: each later layer is full or reuses the latest full one. */
export function allPolicies(layers: number): number[][] {
  return Array.from({ length: 2 ** (layers - 1) }, (_, bits) => {
    let source = 0;
    return Array.from({ length: layers }, (__, layer) => {
      if (layer > 0 && !((bits >> (layer - 1)) & 1)) return source;
      source = layer;
      return -1;
    });
  });
}

/** Overlap of each layer along a policy's path; 1 for a full layer. */
export function alongPath(policy: readonly number[], overlap: ArrayLike<number>): number[] {
  return policy.map((source, layer) => (source < 0 ? 1 : (overlap[source * policy.length + layer] as number)));
}

/** The sheet's example of six layers, upper triangle. */
export const toyOverlap = fromUpperTriangle([
  [0.9, 0.8, 0.5, 0.45, 0.4],
  [0.85, 0.55, 0.5, 0.45],
  [0.6, 0.55, 0.5],
  [0.95, 0.9],
  [0.9],
]);

/** [L, L] row-major, symmetric, 1 on the diagonal. */
export function fromUpperTriangle(rows: readonly (readonly number[])[]): Float64Array {
  const layers = rows.length + 1;
  const overlap = new Float64Array(layers * layers);
  for (let i = 0; i < layers; i++) {
    overlap[i * layers + i] = 1;
    for (let j = i + 1; j < layers; j++) {
      const value = rows[i]?.[j - i - 1] as number;
      overlap[i * layers + j] = value;
      overlap[j * layers + i] = value;
    }
  }
  return overlap;
}

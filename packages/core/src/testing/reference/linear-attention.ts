/** Causal linear attention of G sequences in f64. */
export interface LinearAttentionReferenceInput {
  readonly groups: number;
  readonly rows: number;
  /** D and Dv. */
  readonly size: number;
  readonly valueSize: number;
  /** [G, N, D] */
  readonly q: ArrayLike<number>;
  readonly k: ArrayLike<number>;
  /** [G, N, Dv] */
  readonly v: ArrayLike<number>;
  readonly featureMap?: 'identity' | 'taylor';
  /** Default 1 / sqrt(D). */
  readonly scale?: number;
  /** Default true. */
  readonly normalize?: boolean;
  /** Default 1e-12. */
  readonly epsilon?: number;
}

export interface LinearAttentionReference {
  /** [G, N, Dv] */
  readonly output: Float64Array;
  /** Sums of the weights of each row, epsilon among them: [G, N] */
  readonly normalizer: Float64Array;
}

/** The parallel form: all pairs, by their scores. */
export function linearAttentionReference(input: LinearAttentionReferenceInput): LinearAttentionReference {
  const { groups, rows, size, valueSize, q, k, v, featureMap = 'taylor' } = input;
  const { scale = 1 / Math.sqrt(size), normalize = true, epsilon = 1e-12 } = input;
  const output = new Float64Array(groups * rows * valueSize);
  const normalizer = new Float64Array(groups * rows).fill(epsilon);
  for (let row = 0; row < groups * rows; row++) {
    const first = row - (row % rows);
    for (let other = first; other <= row; other++) {
      let score = 0;
      for (let d = 0; d < size; d++) score += scale * (q[row * size + d] as number) * (k[other * size + d] as number);
      const weight = featureMap === 'taylor' ? 1 + score + (score * score) / 2 : score;
      normalizer[row] = (normalizer[row] as number) + weight;
      for (let c = 0; c < valueSize; c++) output[row * valueSize + c]! += weight * (v[other * valueSize + c] as number);
    }
    if (!normalize) continue;
    for (let c = 0; c < valueSize; c++) output[row * valueSize + c]! /= normalizer[row] as number;
  }
  return { output, normalizer };
}

/**
 * phi of each vector, [rows, F]: of `taylor` 1, the vector times sqrt(scale), then x_i x_j for i <= j times scale, and the squares over
 * sqrt(2).
 */
export function featureReference(
  x: ArrayLike<number>,
  {
    size,
    featureMap = 'taylor',
    scale = 1 / Math.sqrt(size),
  }: Pick<LinearAttentionReferenceInput, 'size' | 'featureMap' | 'scale'>,
): number[][] {
  return Array.from({ length: x.length / size }, (_, row) => {
    const scaled = Array.from({ length: size }, (_, d) => Math.sqrt(scale) * (x[row * size + d] as number));
    if (featureMap === 'identity') return scaled;
    const products = scaled.flatMap((left, i) =>
      scaled.slice(i).map((right, step) => (step === 0 ? (left * right) / Math.SQRT2 : left * right)),
    );
    return [1, ...scaled, ...products];
  });
}

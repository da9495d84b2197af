/** Based's three mixers in plain f64 loops, as the paper defines them: what the GPU is compared with. */

/** A vector's published features [1 + f + f^2]: 1, x / f^(1/4), x_i x_j / (sqrt(2) sqrt(f)) (section 4.1). */
export function taylorFeatures(x: ArrayLike<number>): number[] {
  const row = Array.from(x);
  const f = row.length;
  return [
    1,
    ...row.map((value) => value / f ** 0.25),
    ...row.flatMap((left) => row.map((right) => (left * right) / Math.sqrt(2 * f))),
  ];
}

/** Rows of one head. */
export interface HeadRows {
  readonly rows: number;
  /** [N, f] */
  readonly q: ArrayLike<number>;
  readonly k: ArrayLike<number>;
  /** [N, dv] */
  readonly v: ArrayLike<number>;
}

/** Row `at` of a matrix of `rows` rows. */
export function rowOf(x: ArrayLike<number>, rows: number, at: number): number[] {
  const size = x.length / rows;
  return Array.from({ length: size }, (_, column) => x[at * size + column] as number);
}

const dot = (a: readonly number[], b: readonly number[]) =>
  a.reduce((sum, value, at) => sum + value * (b[at] as number), 0);

/** The parallel form: weights [N, N], lower triangular, over their row sums. */
export function linearAttentionWeights({ rows, q, k }: Omit<HeadRows, 'v'>, epsilon = 1e-12): number[][] {
  const [queries, keys] = [q, k].map((x) =>
    Array.from({ length: rows }, (_, at) => taylorFeatures(rowOf(x, rows, at))),
  ) as [number[][], number[][]];
  return queries.map((query, row) => {
    const weights = keys.map((key, other) => (other <= row ? dot(query, key) : 0));
    const total = weights.reduce((sum, weight) => sum + weight, epsilon);
    return weights.map((weight) => weight / total);
  });
}

/** The recurrent form: the state takes in a token, then the token reads it. [N, dv] */
export function linearAttentionRecurrent({ rows, q, k, v }: HeadRows, epsilon = 1e-12): number[][] {
  const size = v.length / rows;
  const features = taylorFeatures(rowOf(q, rows, 0)).length;
  const products = Array.from({ length: features }, () => new Float64Array(size));
  const sums = new Float64Array(features);
  return Array.from({ length: rows }, (_, row) => {
    const [query, key] = [q, k].map((x) => taylorFeatures(rowOf(x, rows, row))) as [number[], number[]];
    const value = rowOf(v, rows, row);
    key.forEach((feature, at) => {
      sums[at]! += feature;
      value.forEach((each, column) => {
        products[at]![column]! += feature * each;
      });
    });
    const total = query.reduce((sum, feature, at) => sum + feature * (sums[at] as number), epsilon);
    return value.map(
      (_, column) => query.reduce((sum, feature, at) => sum + feature * (products[at]?.[column] as number), 0) / total,
    );
  });
}

/** Softmax over the query's own token and `windowSize / 2` before it: weights [N, N]. */
export function windowWeights({ rows, q, k }: Omit<HeadRows, 'v'>, windowSize: number): number[][] {
  const size = q.length / rows;
  return Array.from({ length: rows }, (_, row) => {
    const scores = Array.from({ length: rows }, (_, other) =>
      other <= row && row - other <= Math.floor(windowSize / 2)
        ? dot(rowOf(q, rows, row), rowOf(k, rows, other)) / Math.sqrt(size)
        : Number.NEGATIVE_INFINITY,
    );
    const top = Math.max(...scores);
    const total = scores.reduce((sum, score) => sum + Math.exp(score - top), 0);
    return scores.map((score) => Math.exp(score - top) / total);
  });
}

/** Weights [N, N] times values [N, dv]. */
export function weightedValues(weights: readonly (readonly number[])[], v: ArrayLike<number>): number[][] {
  const rows = weights.length;
  return weights.map((row) => {
    const sums = new Array<number>(v.length / rows).fill(0);
    row.forEach((weight, other) => {
      rowOf(v, rows, other).forEach((value, column) => {
        sums[column]! += weight * value;
      });
    });
    return sums;
  });
}

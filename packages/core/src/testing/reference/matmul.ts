/** `[M, K] x [K, N]` in plain f64 loops; row-major numbers. */
export function matmulReference(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  m: number,
  k: number,
  n: number,
): Float64Array {
  const out = new Float64Array(m * n);
  for (let row = 0; row < m; row++) {
    for (let column = 0; column < n; column++) {
      let sum = 0;
      for (let inner = 0; inner < k; inner++) {
        sum += (a[row * k + inner] as number) * (b[inner * n + column] as number);
      }
      out[row * n + column] = sum;
    }
  }
  return out;
}

/** A linear layer in plain f64 loops: `x [M, K]`, `weight [N, K]`, optional `bias [N]` and `residual [M, N]`. */
export function linearReference(
  x: ArrayLike<number>,
  weight: ArrayLike<number>,
  m: number,
  k: number,
  n: number,
  extra: { readonly bias?: ArrayLike<number>; readonly residual?: ArrayLike<number> } = {},
): Float64Array {
  const out = new Float64Array(m * n);
  for (let row = 0; row < m; row++) {
    for (let column = 0; column < n; column++) {
      let sum = (extra.bias?.[column] ?? 0) + (extra.residual?.[row * n + column] ?? 0);
      for (let inner = 0; inner < k; inner++) {
        sum += (x[row * k + inner] as number) * (weight[column * k + inner] as number);
      }
      out[row * n + column] = sum;
    }
  }
  return out;
}

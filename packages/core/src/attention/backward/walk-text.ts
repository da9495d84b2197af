/** WGSL that both walks of the gradient kernels use. */

/** Where a row of a [B, H, N, D] input starts. */
const rowStart = (name: string, query: string): string =>
  `params.${name}_start + batch * params.${name}_batch + head * params.${name}_head + ${query} * params.${name}_row`;

export function queryAt(query: string): string {
  return rowStart('query', query);
}

export function gradientAt(query: string): string {
  return rowStart('gradient', query);
}

/** Declares `row_sum<suffix>` and `log_sum_exp<suffix>` of a query. */
export function rowNumbers(query: string, suffix: string): string {
  const row = `(batch * params.heads + head) * params.queries + ${query}`;
  return `let row_sum${suffix} = rows[${row}];
  let log_sum_exp${suffix} = rows[params.row_count + ${row}];`;
}

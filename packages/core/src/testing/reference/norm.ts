/** Rows of `columns` numbers, each divided by its root mean square and multiplied by `weight`. */
export function rmsNormReference(x: ArrayLike<number>, weight: ArrayLike<number>, epsilon: number): Float64Array {
  const columns = weight.length;
  const out = new Float64Array(x.length);
  for (let base = 0; base < x.length; base += columns) {
    let squares = 0;
    for (let c = 0; c < columns; c++) squares += (x[base + c] as number) ** 2;
    const factor = 1 / Math.sqrt(squares / columns + epsilon);
    for (let c = 0; c < columns; c++) out[base + c] = (x[base + c] as number) * factor * (weight[c] as number);
  }
  return out;
}

/** Rows of `columns` numbers, each brought to mean 0 and variance 1, times `weight`, plus `bias`. */
export function layerNormReference(
  x: ArrayLike<number>,
  weight: ArrayLike<number>,
  bias: ArrayLike<number> | undefined,
  epsilon: number,
): Float64Array {
  const columns = weight.length;
  const out = new Float64Array(x.length);
  for (let base = 0; base < x.length; base += columns) {
    let mean = 0;
    for (let c = 0; c < columns; c++) mean += (x[base + c] as number) / columns;
    let variance = 0;
    for (let c = 0; c < columns; c++) variance += ((x[base + c] as number) - mean) ** 2 / columns;
    const factor = 1 / Math.sqrt(variance + epsilon);
    for (let c = 0; c < columns; c++) {
      out[base + c] = ((x[base + c] as number) - mean) * factor * (weight[c] as number) + (bias?.[c] ?? 0);
    }
  }
  return out;
}

/** Negative log-likelihood per row in f64; logits row-major [rows, classes]. */
export function crossEntropyReference(
  logits: ArrayLike<number>,
  targets: ArrayLike<number>,
  classes: number,
): Float64Array {
  return Float64Array.from(targets, (target, row) => {
    const values = Array.from({ length: classes }, (_, index) => logits[row * classes + index] as number);
    const maximum = Math.max(...values);
    const sum = values.reduce((total, value) => total + Math.exp(value - maximum), 0);
    return Math.log(sum) + maximum - (values[target] as number);
  });
}

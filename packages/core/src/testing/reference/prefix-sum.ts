/** Running sums in f64; exclusive sums start at 0. */
export function prefixSumReference(values: ArrayLike<number>, exclusive = false): Float64Array {
  let sum = 0;
  return Float64Array.from(values, (value) => {
    const before = sum;
    sum += value;
    return exclusive ? before : sum;
  });
}

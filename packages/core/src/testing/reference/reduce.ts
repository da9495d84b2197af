const folds = {
  sum: (values: readonly number[]) => values.reduce((a, b) => a + b, 0),
  mean: (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length,
  max: (values: readonly number[]) => values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY),
  min: (values: readonly number[]) => values.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY),
  /** Index of the first largest value. */
  argmax: (values: readonly number[]) =>
    values.reduce((best, value, i) => (value > (values[best] as number) ? i : best), 0),
};

/** A reduction over `axes` (sorted) of row-major numbers; kept axes stay in order. */
export function reduceReference(
  name: keyof typeof folds,
  data: ArrayLike<number>,
  shape: readonly number[],
  axes: readonly number[],
): Float64Array {
  const kept = shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
  const outputs = kept.reduce((product, axis) => product * (shape[axis] as number), 1);
  const groups = Array.from({ length: outputs }, (): number[] => []);
  for (let at = 0; at < data.length; at++) {
    let rest = at;
    let output = 0;
    let stride = 1;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const size = shape[axis] as number;
      if (!axes.includes(axis)) {
        output += (rest % size) * stride;
        stride *= size;
      }
      rest = Math.floor(rest / size);
    }
    groups[output]?.push(data[at] as number);
  }
  return Float64Array.from(groups, folds[name]);
}

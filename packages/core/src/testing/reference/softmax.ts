import { lowestScore } from '../../kernels/wgsl.ts';

/** Softmax of rows of `columns` scores; those at or below half of the sentinel are masked. */
export function softmaxReference(x: ArrayLike<number>, columns: number): Float64Array {
  return logSoftmaxReference(x, columns).map(Math.exp);
}

/** Logarithms of {@link softmaxReference}; -Infinity where it is 0 by masking. */
export function logSoftmaxReference(x: ArrayLike<number>, columns: number): Float64Array {
  const out = new Float64Array(x.length).fill(Number.NEGATIVE_INFINITY);
  for (let base = 0; base < x.length; base += columns) {
    const row = Array.from({ length: columns }, (_, c) => x[base + c] as number);
    const seen = row.filter((value) => value > lowestScore / 2);
    if (seen.length === 0) continue;
    const top = seen.reduce((a, b) => Math.max(a, b));
    const total = seen.reduce((sum, value) => sum + Math.exp(value - top), 0);
    row.forEach((value, c) => {
      if (value > lowestScore / 2) out[base + c] = value - top - Math.log(total);
    });
  }
  return out;
}

import { type NeighborhoodOptions, resolveNeighborhood } from './neighborhood.ts';

/** One call in plain arrays. Tokens in row-major order of the layout; heads last but one, as in [B, N, H, D]. */
export interface NeighborhoodReferenceInput extends NeighborhoodOptions {
  readonly layout: readonly number[];
  readonly batches: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly q: ArrayLike<number>;
  readonly k: ArrayLike<number>;
  readonly v: ArrayLike<number>;
  readonly scale?: number;
  /** Keys and values [B, M, Hkv, D] that every query sees besides. */
  readonly additionalKeys?: ArrayLike<number>;
  readonly additionalValues?: ArrayLike<number>;
}

/** What a query at `i` of an axis of `length` tokens sees: the formulas of the paper's kernels, step by step. */
function bounds(i: number, length: number, window: number, stride: number, causal: boolean): [number, number] {
  const left = Math.floor(window / 2);
  const right = window - 1 - left;
  const group = Math.floor(i / stride) * stride;
  if (causal) {
    const leader = Math.min(group + stride - 1, length - 1);
    return [Math.max(leader - window + 1, 0), i + 1];
  }
  const leader = Math.min(group + Math.floor(stride / 2), length - 1);
  const start = Math.max(leader - left, 0) - Math.max(leader + right - (length - 1), 0);
  return [start, start + window];
}

/** Softmax attention over the neighbourhood and the additional tokens, in f64, pair by pair: the definition of what is correct. */
export function neighborhoodAttentionReference(input: NeighborhoodReferenceInput): {
  /** [B, N, H, D] */
  readonly output: Float64Array;
  /** [B, N, H] */
  readonly logSumExp: Float64Array;
} {
  const { layout, batches, heads, kvHeads, headSize, q, k, v, additionalKeys, additionalValues } = input;
  const { scale = 1 / Math.sqrt(headSize) } = input;
  const { window, stride, dilation, causal } = resolveNeighborhood(layout, input);
  const tokens = layout.reduce((product, size) => product * size, 1);
  const additional = additionalKeys ? additionalKeys.length / (batches * kvHeads * headSize) : 0;
  const place = (token: number): number[] => {
    const at: number[] = [];
    let rest = token;
    for (const size of [...layout].reverse()) {
      at.unshift(rest % size);
      rest = Math.floor(rest / size);
    }
    return at;
  };
  const places = Array.from({ length: tokens }, (_, token) => place(token));
  const sees = (query: number, key: number): boolean =>
    layout.every((size, axis) => {
      const [own, other] = [places[query]?.[axis] as number, places[key]?.[axis] as number];
      const step = dilation[axis] as number;
      if (own % step !== other % step) return false;
      const length = Math.floor(size / step) + (own % step < size % step ? 1 : 0);
      const at = Math.floor(own / step);
      const [start, end] = bounds(at, length, window[axis] as number, stride[axis] as number, causal[axis] as boolean);
      const inner = Math.floor(other / step);
      return inner >= start && inner < end;
    });
  const output = new Float64Array(batches * tokens * heads * headSize);
  const logSumExp = new Float64Array(batches * tokens * heads);
  for (let batch = 0; batch < batches; batch++) {
    for (let query = 0; query < tokens; query++) {
      const seen = places.flatMap((_, key) => (sees(query, key) ? [key] : []));
      for (let head = 0; head < heads; head++) {
        const kvHead = Math.floor((head * kvHeads) / heads);
        const row = (batch * tokens + query) * heads + head;
        const own = (count: number, key: number) => ((batch * count + key) * kvHeads + kvHead) * headSize;
        const rows = [
          ...seen.map((key) => ({ keys: k, values: v, at: own(tokens, key) })),
          ...Array.from({ length: additional }, (_, key) => ({
            keys: additionalKeys as ArrayLike<number>,
            values: additionalValues as ArrayLike<number>,
            at: own(additional, key),
          })),
        ];
        const scores = rows.map(({ keys, at }) => {
          let score = 0;
          for (let d = 0; d < headSize; d++) score += (q[row * headSize + d] as number) * (keys[at + d] as number);
          return score * scale;
        });
        const most = Math.max(...scores);
        const sum = scores.reduce((total, score) => total + Math.exp(score - most), 0);
        logSumExp[row] = most + Math.log(sum);
        rows.forEach(({ values, at }, entry) => {
          const weight = Math.exp((scores[entry] as number) - most) / sum;
          for (let d = 0; d < headSize; d++) {
            output[row * headSize + d] = (output[row * headSize + d] as number) + weight * (values[at + d] as number);
          }
        });
      }
    }
  }
  return { output, logSumExp };
}

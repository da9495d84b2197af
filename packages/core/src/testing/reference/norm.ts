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

/** Sizes of x [B, C, P] and how many groups its channels form; of a batch norm undefined. */
export interface ChannelNormReferenceSizes {
  readonly images: number;
  readonly channels: number;
  readonly positions: number;
  readonly groups?: number;
}

/** Batch norm, or with groups group norm, by the moments of x itself. */
export function channelNormReference(
  x: ArrayLike<number>,
  weight: ArrayLike<number>,
  bias: ArrayLike<number>,
  { images, channels, positions, groups }: ChannelNormReferenceSizes,
  epsilon: number,
): Float64Array {
  const channelOf = (at: number) => Math.floor(at / positions) % channels;
  const setOf = (at: number) => {
    if (groups === undefined) return channelOf(at);
    return Math.floor(at / positions / channels) * groups + Math.floor((channelOf(at) * groups) / channels);
  };
  const sets = groups === undefined ? channels : images * groups;
  const elements = Array.from({ length: sets }, (): number[] => []);
  for (let at = 0; at < x.length; at++) elements[setOf(at)]?.push(x[at] as number);
  const moments = elements.map((values) => {
    const mean = values.reduce((sum, value) => sum + value / values.length, 0);
    return { mean, variance: values.reduce((sum, value) => sum + (value - mean) ** 2 / values.length, 0) };
  });
  return Float64Array.from({ length: x.length }, (_, at) => {
    const { mean, variance } = moments[setOf(at)] as { mean: number; variance: number };
    const normal = ((x[at] as number) - mean) / Math.sqrt(variance + epsilon);
    return normal * (weight[channelOf(at)] as number) + (bias[channelOf(at)] as number);
  });
}

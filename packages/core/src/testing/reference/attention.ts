/** Arguments of {@link attentionReference}: row-major host arrays and the same options as `attention`. */
export interface AttentionReferenceInput {
  readonly batches: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly queries: number;
  readonly keys: number;
  readonly headSize: number;
  /** [B, H, N, D] */
  readonly q: ArrayLike<number>;
  /** [B, Hkv, M, D] */
  readonly k: ArrayLike<number>;
  readonly v: ArrayLike<number>;
  readonly scale?: number;
  readonly causal?: boolean;
  readonly queryOffset?: number;
  readonly slidingWindow?: number;
  /** One length for all, or one per batch entry. */
  readonly keyLength?: number | readonly number[];
  readonly queryLength?: number | readonly number[];
  /** Positions of the list of (batch, query head). */
  readonly tokens?: (batch: number, head: number) => readonly number[];
}

export interface AttentionReference {
  /** [B, H, N, D] */
  readonly output: Float64Array;
  /** [B, H, N]; -Infinity where a row sees no key. */
  readonly logSumExp: Float64Array;
  readonly rowMaximum: Float64Array;
}

/** Attention by definition, in f64: the oracle of the kernels. */
export function attentionReference(input: AttentionReferenceInput): AttentionReference {
  const { batches, heads, kvHeads, queries, keys, headSize } = input;
  const output = new Float64Array(batches * heads * queries * headSize);
  const logSumExp = new Float64Array(batches * heads * queries).fill(Number.NEGATIVE_INFINITY);
  const rowMaximum = logSumExp.slice();
  for (let batch = 0; batch < batches; batch++) {
    for (let head = 0; head < heads; head++) {
      for (let query = 0; query < queries; query++) {
        const row = (batch * heads + head) * queries + query;
        const positions = visiblePositions(input, batch, head, query);
        if (positions.length === 0) continue;
        const scores = attentionScores(input, batch, head, query, positions);
        const maximum = scores.reduce((most, score) => Math.max(most, score), Number.NEGATIVE_INFINITY);
        const weights = scores.map((score) => Math.exp(score - maximum));
        const sum = weights.reduce((total, weight) => total + weight, 0);
        const keyHead = batch * kvHeads + Math.floor((head * kvHeads) / heads);
        positions.forEach((position, index) => {
          for (let d = 0; d < headSize; d++) {
            output[row * headSize + d]! +=
              ((weights[index] as number) / sum) * (input.v[(keyHead * keys + position) * headSize + d] as number);
          }
        });
        logSumExp[row] = maximum + Math.log(sum);
        rowMaximum[row] = maximum;
      }
    }
  }
  return { output, logSumExp, rowMaximum };
}

/** Scaled scores of one query against the given positions. */
export function attentionScores(
  input: Pick<AttentionReferenceInput, 'heads' | 'kvHeads' | 'queries' | 'keys' | 'headSize' | 'q' | 'k' | 'scale'>,
  batch: number,
  head: number,
  query: number,
  positions: readonly number[],
): number[] {
  const { heads, kvHeads, queries, keys, headSize, scale = 1 / Math.sqrt(headSize) } = input;
  const row = ((batch * heads + head) * queries + query) * headSize;
  const keyHead = batch * kvHeads + Math.floor((head * kvHeads) / heads);
  return positions.map((position) => {
    let dot = 0;
    for (let d = 0; d < headSize; d++) {
      dot += (input.q[row + d] as number) * (input.k[(keyHead * keys + position) * headSize + d] as number);
    }
    return dot * scale;
  });
}

function visiblePositions(input: AttentionReferenceInput, batch: number, head: number, query: number): number[] {
  const pick = (length: number | readonly number[] | undefined, all: number) =>
    typeof length === 'object' ? (length[batch] as number) : (length ?? all);
  const keyLength = pick(input.keyLength, input.keys);
  const queryLength = pick(input.queryLength, input.queries);
  if (query >= queryLength) return [];
  const own = (input.queryOffset ?? keyLength - queryLength) + query;
  const candidates = input.tokens?.(batch, head) ?? Array.from({ length: keyLength }, (_, position) => position);
  return candidates.filter(
    (position) =>
      position < keyLength &&
      (!input.causal || position <= own) &&
      (input.slidingWindow === undefined || position > own - input.slidingWindow),
  );
}

import { type HostMask, maskReference } from './mask.ts';

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
  /** [B, Hkv, M, D]; with `keyStarts` [rows, D] */
  readonly k: ArrayLike<number>;
  readonly v: ArrayLike<number>;
  readonly scale?: number;
  readonly causal?: boolean;
  /** One position for all, or one per batch entry. */
  readonly queryOffset?: number | readonly number[];
  readonly slidingWindow?: number;
  /** One length for all, or one per batch entry, or one per key/value head [B, Hkv]. */
  readonly keyLength?: number | readonly number[];
  readonly queryLength?: number | readonly number[];
  /** [B, Hkv, M]; with `keyStarts` [rows] */
  readonly keyPositions?: ArrayLike<number>;
  /** [B, Hkv] */
  readonly keyStarts?: ArrayLike<number>;
  /** Rows of the list of (batch, query head). */
  readonly tokens?: (batch: number, head: number) => readonly number[];
  readonly mask?: HostMask;
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
  const { batches, heads, queries, headSize } = input;
  const output = new Float64Array(batches * heads * queries * headSize);
  const logSumExp = new Float64Array(batches * heads * queries).fill(Number.NEGATIVE_INFINITY);
  const rowMaximum = logSumExp.slice();
  for (let batch = 0; batch < batches; batch++) {
    for (let head = 0; head < heads; head++) {
      for (let query = 0; query < queries; query++) {
        const row = (batch * heads + head) * queries + query;
        const keyRows = visibleRows(input, batch, head, query);
        if (keyRows.length === 0) continue;
        const scores = attentionScores(input, batch, head, query, keyRows);
        const maximum = scores.reduce((most, score) => Math.max(most, score), Number.NEGATIVE_INFINITY);
        const weights = scores.map((score) => Math.exp(score - maximum));
        const sum = weights.reduce((total, weight) => total + weight, 0);
        const first = firstKeyRow(input, batch, head);
        keyRows.forEach((keyRow, index) => {
          for (let d = 0; d < headSize; d++) {
            output[row * headSize + d]! +=
              ((weights[index] as number) / sum) * (input.v[(first + keyRow) * headSize + d] as number);
          }
        });
        logSumExp[row] = maximum + Math.log(sum);
        rowMaximum[row] = maximum;
      }
    }
  }
  return { output, logSumExp, rowMaximum };
}

type Sizes = Pick<AttentionReferenceInput, 'heads' | 'kvHeads' | 'queries' | 'keys' | 'headSize' | 'keyStarts'>;

function keyHead({ heads, kvHeads }: Sizes, batch: number, head: number): number {
  return batch * kvHeads + Math.floor((head * kvHeads) / heads);
}

/** Where the rows that a query head reads begin, over all heads. */
function firstKeyRow(sizes: Sizes, batch: number, head: number): number {
  const index = keyHead(sizes, batch, head);
  return sizes.keyStarts ? (sizes.keyStarts[index] as number) : index * sizes.keys;
}

/** Scaled scores of one query against the given rows of its key/value head. */
export function attentionScores(
  input: Sizes & Pick<AttentionReferenceInput, 'q' | 'k' | 'scale'>,
  batch: number,
  head: number,
  query: number,
  keyRows: readonly number[],
): number[] {
  const { heads, queries, headSize, scale = 1 / Math.sqrt(headSize) } = input;
  const row = ((batch * heads + head) * queries + query) * headSize;
  const first = firstKeyRow(input, batch, head);
  return keyRows.map((keyRow) => {
    let dot = 0;
    for (let d = 0; d < headSize; d++) {
      dot += (input.q[row + d] as number) * (input.k[(first + keyRow) * headSize + d] as number);
    }
    return dot * scale;
  });
}

export function visibleRows(input: AttentionReferenceInput, batch: number, head: number, query: number): number[] {
  const pick = (length: number | readonly number[] | undefined, all: number) =>
    typeof length !== 'object'
      ? (length ?? all)
      : (length[length.length === input.batches ? batch : keyHead(input, batch, head)] as number);
  const keyLength = pick(input.keyLength, input.keys);
  const queryLength = pick(input.queryLength, input.queries);
  if (query >= queryLength) return [];
  const own = pick(input.queryOffset, keyLength - queryLength) + query;
  const positionOf = (keyRow: number) =>
    input.keyPositions ? (input.keyPositions[firstKeyRow(input, batch, head) + keyRow] as number) : keyRow;
  const candidates = input.tokens?.(batch, head) ?? Array.from({ length: keyLength }, (_, keyRow) => keyRow);
  return candidates.filter((keyRow) => {
    if (keyRow >= keyLength) return false;
    const keyPosition = positionOf(keyRow);
    if (input.causal && keyPosition > own) return false;
    if (input.slidingWindow !== undefined && keyPosition <= own - input.slidingWindow) return false;
    const pair = { batch, head, query, queryPosition: own, keyPosition };
    return !input.mask || maskReference(input.mask, pair, keyRow, input);
  });
}

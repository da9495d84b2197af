import type { ScoreModifier } from '../../attention/score-modifiers.ts';
import type { KeyMultipliers } from '../../attention/trust.ts';
import { type HostMask, maskReference } from './mask.ts';
import { modifiedScore, sinkOf } from './score-modifiers.ts';

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
  /** A bias is [B, H, N, P]. */
  readonly scoreModifiers?: readonly ScoreModifier<ArrayLike<number>>[];
  /** Factors are [B, H, M]. */
  readonly keyMultipliers?: KeyMultipliers<ArrayLike<number>>;
  /** [B, H, N]; -Infinity for rows that see nothing. */
  readonly normalizer?: ArrayLike<number>;
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
        const softmax = attentionRow(input, batch, head, query);
        logSumExp[row] = softmax.logSumExp;
        rowMaximum[row] = softmax.maximum;
        const first = firstKeyRow(input, batch, head);
        softmax.keyRows.forEach((keyRow, index) => {
          for (let d = 0; d < headSize; d++) {
            output[row * headSize + d]! +=
              (softmax.weights[index] as number) * (input.v[(first + keyRow) * headSize + d] as number);
          }
        });
      }
    }
  }
  return { output, logSumExp, rowMaximum };
}

/**
 * The keys that a row sees, their scores before modifiers, their probabilities and the factors of their values (the same unless
 * multipliers act behind the normalisation), and the row's statistics.
 */
export function attentionRow(input: AttentionReferenceInput, batch: number, head: number, query: number) {
  const { heads, queries, keys, keyMultipliers, normalizer } = input;
  const keyRows = visibleRows(input, batch, head, query);
  const raw = attentionScores(input, batch, head, query, keyRows);
  const modifiers = input.scoreModifiers ?? [];
  const queryPosition = firstPosition(input, batch, head) + query;
  const scores = keyRows.map((keyRow, index) => {
    const keyPosition = positionOf(input, batch, head, keyRow);
    const pair = { batch, head, query, queryPosition, keyPosition };
    return modifiers.reduce((score, modifier) => modifiedScore(modifier, score, pair, input), raw[index] as number);
  });
  const sink = query < lengthOf(input, input.queryLength, input.queries, batch, head) ? sinkOf(modifiers, head) : [];
  const maximum = [...sink, ...scores].reduce((most, score) => Math.max(most, score), Number.NEGATIVE_INFINITY);
  const factors = keyRows.map((keyRow) =>
    keyMultipliers ? (keyMultipliers.factors[(batch * heads + head) * keys + keyRow] as number) : 1,
  );
  const within = keyMultipliers?.renormalise ? factors : factors.map(() => 1);
  const sum =
    scores.reduce((total, score, index) => total + (within[index] as number) * Math.exp(score - maximum), 0) +
    sink.reduce((total, logit) => total + Math.exp(logit - maximum), 0);
  const logSumExp = sum > 0 ? maximum + Math.log(sum) : Number.NEGATIVE_INFINITY;
  const divisor = normalizer ? (normalizer[(batch * heads + head) * queries + query] as number) : logSumExp;
  const weights = scores.map((score, index) =>
    divisor === Number.NEGATIVE_INFINITY ? 0 : (factors[index] as number) * Math.exp(score - divisor),
  );
  const probabilities = scores.map((score, index) =>
    divisor === Number.NEGATIVE_INFINITY ? 0 : (within[index] as number) * Math.exp(score - divisor),
  );
  return {
    keyRows,
    raw,
    probabilities,
    weights,
    logSumExp,
    maximum: sum > 0 ? maximum : Number.NEGATIVE_INFINITY,
  };
}

type Sizes = Pick<AttentionReferenceInput, 'heads' | 'kvHeads' | 'queries' | 'keys' | 'headSize' | 'keyStarts'>;

function keyHead({ heads, kvHeads }: Sizes, batch: number, head: number): number {
  return batch * kvHeads + Math.floor((head * kvHeads) / heads);
}

/** Where the rows that a query head reads begin, over all heads. */
export function firstKeyRow(sizes: Sizes, batch: number, head: number): number {
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

/** A length of one number for all, of one per batch entry, or of one per key/value head. */
function lengthOf(
  input: AttentionReferenceInput,
  length: number | readonly number[] | undefined,
  all: number,
  batch: number,
  head: number,
): number {
  if (typeof length !== 'object') return length ?? all;
  return length[length.length === input.batches ? batch : keyHead(input, batch, head)] as number;
}

/** Position of query 0. */
export function firstPosition(input: AttentionReferenceInput, batch: number, head: number): number {
  const keyLength = lengthOf(input, input.keyLength, input.keys, batch, head);
  const queryLength = lengthOf(input, input.queryLength, input.queries, batch, head);
  return lengthOf(input, input.queryOffset, keyLength - queryLength, batch, head);
}

export function positionOf(input: AttentionReferenceInput, batch: number, head: number, keyRow: number): number {
  const { keyPositions } = input;
  return keyPositions ? (keyPositions[firstKeyRow(input, batch, head) + keyRow] as number) : keyRow;
}

/** The stored rows that a query sees. */
export function visibleRows(input: AttentionReferenceInput, batch: number, head: number, query: number): number[] {
  const keyLength = lengthOf(input, input.keyLength, input.keys, batch, head);
  if (query >= lengthOf(input, input.queryLength, input.queries, batch, head)) return [];
  const own = firstPosition(input, batch, head) + query;
  const candidates = input.tokens?.(batch, head) ?? Array.from({ length: keyLength }, (_, keyRow) => keyRow);
  return candidates.filter((keyRow) => {
    if (keyRow >= keyLength) return false;
    const keyPosition = positionOf(input, batch, head, keyRow);
    if (input.causal && keyPosition > own) return false;
    if (input.slidingWindow !== undefined && keyPosition <= own - input.slidingWindow) return false;
    const pair = { batch, head, query, queryPosition: own, keyPosition };
    return !input.mask || maskReference(input.mask, pair, keyRow, input);
  });
}

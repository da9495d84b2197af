/** FlashAttention-2 in plain f64 loops, block by block as the paper has it: the definition that the GPU path is compared with. */
import { type Window, windowOf } from './window.ts';

/** Sizes of a call. */
export interface ReferenceShape {
  readonly batches: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly queries: number;
  readonly keys: number;
  readonly headSize: number;
}

export interface ReferenceInput extends ReferenceShape {
  /** [B, H, N, D] */
  readonly q: ArrayLike<number>;
  /** [B, Hkv, M, D] */
  readonly k: ArrayLike<number>;
  readonly v: ArrayLike<number>;
  readonly scale?: number;
  readonly causal?: boolean;
  readonly window?: readonly [left: number, right: number];
  readonly softcap?: number;
  /** Rows and columns of a block, Br and Bc. Default 64. */
  readonly blockQ?: number;
  readonly blockKV?: number;
  /** Default 1. */
  readonly numSplits?: number;
}

export interface ReferenceResult {
  /** [B, H, N, D] */
  readonly out: Float64Array;
  /** [B, H, N], -Infinity in rows that see no key */
  readonly logSumExp: Float64Array;
  /** Key blocks that were loaded, over all blocks of rows. */
  readonly loadedBlocks: number;
}

/** Attention of one row over a range of key blocks. */
interface RowPartial {
  readonly out: Float64Array;
  readonly logSumExp: number;
}

/** Forward pass (algorithm 1), with the keys split into parts that are combined where `numSplits` says so. */
export function flashAttentionReference(input: ReferenceInput): ReferenceResult {
  const { batches, heads, queries, keys, headSize, blockQ = 64, blockKV = 64, numSplits = 1 } = input;
  const out = new Float64Array(batches * heads * queries * headSize);
  const logSumExp = new Float64Array(batches * heads * queries);
  const window = callWindow(input);
  const perSplit = Math.ceil(Math.ceil(keys / blockKV) / numSplits);
  let loadedBlocks = 0;
  for (let head = 0; head < batches * heads; head++) {
    for (let first = 0; first < queries; first += blockQ) {
      const last = Math.min(first + blockQ, queries) - 1;
      const { begin, end } = keyBlockRange(input, window, first, last);
      loadedBlocks += end - begin;
      for (let query = first; query <= last; query++) {
        const partials = Array.from({ length: numSplits }, (_, split) =>
          walkKeys(input, window, head, query, {
            begin: Math.max(begin, split * perSplit),
            end: Math.min(end, (split + 1) * perSplit),
          }),
        );
        const row = combineReference(partials, headSize);
        out.set(row.out, (head * queries + query) * headSize);
        logSumExp[head * queries + query] = row.logSumExp;
      }
    }
  }
  return { out, logSumExp, loadedBlocks };
}

/** The blocks of keys that at least one row of [first, last] sees: all others are never loaded. */
export function keyBlockRange(
  { queries, keys, blockKV = 64 }: ReferenceInput,
  { left, right }: Window,
  first: number,
  last: number,
): { begin: number; end: number } {
  const offset = keys - queries;
  const begin = Math.max(0, Math.floor((first + offset - left) / blockKV));
  const end = Math.min(Math.ceil(keys / blockKV), Math.ceil((last + 1 + offset + right) / blockKV));
  return { begin, end: Math.max(begin, end) };
}

/** One row over the blocks [begin, end), from the last to the first: only that one is ragged. */
function walkKeys(
  input: ReferenceInput,
  window: Window,
  head: number,
  query: number,
  blocks: { begin: number; end: number },
): RowPartial {
  const { queries, keys, headSize, v, blockKV = 64 } = input;
  const position = query + keys - queries;
  const values = firstKeyElement(input, head);
  const out = new Float64Array(headSize);
  let [maximum, sum] = [Number.NEGATIVE_INFINITY, 0];
  for (let block = blocks.end - 1; block >= blocks.begin; block--) {
    const scores = new Map<number, number>();
    for (let key = block * blockKV; key < Math.min((block + 1) * blockKV, keys); key++) {
      if (key < position - window.left || key > position + window.right) continue;
      scores.set(key, score(input, head, query, key));
    }
    const next = Math.max(maximum, ...scores.values());
    const safe = next === Number.NEGATIVE_INFINITY ? 0 : next;
    const correction = 2 ** ((maximum - safe) * Math.LOG2E);
    sum *= correction;
    // The output stays unnormalised inside the loop (section 3.1.1).
    for (let d = 0; d < headSize; d++) out[d]! *= correction;
    for (const [key, value] of scores) {
      const weight = 2 ** ((value - safe) * Math.LOG2E);
      sum += weight;
      for (let d = 0; d < headSize; d++) out[d]! += weight * (v[values + key * headSize + d] as number);
    }
    maximum = next;
  }
  const divisor = sum === 0 ? 1 : sum;
  return { out: out.map((value) => value / divisor), logSumExp: maximum + Math.log(divisor) };
}

/** Combines rows over disjoint keys; a part without keys has a log-sum-exp of -Infinity and weighs nothing. */
export function combineReference(partials: readonly RowPartial[], headSize: number): RowPartial {
  const maximum = Math.max(...partials.map(({ logSumExp }) => logSumExp));
  const out = new Float64Array(headSize);
  if (maximum === Number.NEGATIVE_INFINITY) return { out, logSumExp: maximum };
  const sum = partials.reduce((total, { logSumExp }) => total + Math.exp(logSumExp - maximum), 0);
  const logSumExp = maximum + Math.log(sum);
  for (const partial of partials) {
    const weight = Math.exp(partial.logSumExp - logSumExp);
    for (let d = 0; d < headSize; d++) out[d]! += weight * (partial.out[d] as number);
  }
  return { out, logSumExp };
}

/** Scaled and soft-capped score; `head` counts through batch and head. */
export function score(input: ReferenceInput, head: number, query: number, key: number): number {
  const { queries, headSize, q, k, scale = 1 / Math.sqrt(headSize), softcap = 0 } = input;
  const row = (head * queries + query) * headSize;
  const keys = firstKeyElement(input, head) + key * headSize;
  let dot = 0;
  for (let d = 0; d < headSize; d++) dot += (q[row + d] as number) * (k[keys + d] as number);
  return softcap === 0 ? scale * dot : softcap * Math.tanh((scale * dot) / softcap);
}

/** Where the keys and values of a query head begin. */
export function firstKeyElement({ heads, kvHeads, keys, headSize }: ReferenceShape, head: number): number {
  const own = Math.floor(head / heads) * kvHeads + Math.floor(((head % heads) * kvHeads) / heads);
  return own * keys * headSize;
}

export function callWindow({ causal = false, window = [-1, -1] }: ReferenceInput): Window {
  return windowOf({ causal, window });
}

import { type AttentionReferenceInput, attentionRow } from './attention.ts';

/** The probability matrix by definition, f64 [B, H, N, M]: what the kernels never store. */
export function attentionProbabilities(input: AttentionReferenceInput): Float64Array {
  const { batches, heads, queries, keys } = input;
  const probabilities = new Float64Array(batches * heads * queries * keys);
  for (let row = 0; row < batches * heads * queries; row++) {
    const batch = Math.floor(row / (heads * queries));
    const head = Math.floor(row / queries) % heads;
    const query = row % queries;
    const { keyRows, weights } = attentionRow(input, batch, head, query);
    keyRows.forEach((keyRow, index) => {
      probabilities[row * keys + keyRow] = weights[index] as number;
    });
  }
  return probabilities;
}

/** Sizes of a probability matrix [B, H, N, M]. */
export type ProbabilitySizes = Pick<AttentionReferenceInput, 'batches' | 'heads' | 'queries' | 'keys'>;

export interface KeyMassReference {
  /** Query heads whose mean is one result: 1, H / Hkv or H. Default 1. */
  readonly joinedHeads?: number;
  /** Whether a query counts. Default: all do. */
  readonly counts?: (batch: number, query: number) => boolean;
  /** Factor of a query. Default 1. */
  readonly weight?: (batch: number, head: number, query: number) => number;
}

/** Mass that each key receives, [B, H / joinedHeads, M]. */
export function keyMassReference(
  probabilities: Float64Array,
  { batches, heads, queries, keys }: ProbabilitySizes,
  { joinedHeads = 1, counts = () => true, weight = () => 1 }: KeyMassReference = {},
): Float64Array {
  const mass = new Float64Array((batches * heads * keys) / joinedHeads);
  probabilities.forEach((probability, at) => {
    const key = at % keys;
    const query = Math.floor(at / keys) % queries;
    const head = Math.floor(at / (keys * queries)) % heads;
    const batch = Math.floor(at / (keys * queries * heads));
    if (!counts(batch, query)) return;
    const result = Math.floor((batch * heads + head) / joinedHeads);
    mass[result * keys + key]! += (probability * weight(batch, head, query)) / joinedHeads;
  });
  return mass;
}

/** Mass that each row gives to each key set, [B, H, N, S]. */
export function keySetMassReference(
  probabilities: Float64Array,
  { heads, queries, keys }: ProbabilitySizes,
  count: number,
  setOf: (batch: number, head: number, key: number) => number,
): Float64Array {
  const mass = new Float64Array((probabilities.length / keys) * count);
  probabilities.forEach((probability, at) => {
    const row = Math.floor(at / keys);
    const set = setOf(Math.floor(row / (heads * queries)), Math.floor(row / queries) % heads, at % keys);
    if (set < count) mass[row * count + set]! += probability;
  });
  return mass;
}

/** Sum over keys of probability times weight, [B, H, N]. */
export function expectationReference(
  probabilities: Float64Array,
  { heads, queries, keys }: ProbabilitySizes,
  weightOf: (batch: number, head: number, key: number) => number,
): Float64Array {
  const result = new Float64Array(probabilities.length / keys);
  probabilities.forEach((probability, at) => {
    const row = Math.floor(at / keys);
    const weight = weightOf(Math.floor(row / (heads * queries)), Math.floor(row / queries) % heads, at % keys);
    result[row]! += probability * weight;
  });
  return result;
}

/** -sum p ln p of each row, in nats, [B, H, N]. */
export function entropyReference(probabilities: Float64Array, { keys }: ProbabilitySizes): Float64Array {
  const result = new Float64Array(probabilities.length / keys);
  probabilities.forEach((probability, at) => {
    if (probability > 0) result[Math.floor(at / keys)]! -= probability * Math.log(probability);
  });
  return result;
}

/** Mean probability of each block over the queries and keys that are valid, or over its whole area, [B, H, Nb, Mb]. */
export function blockMeanReference(
  probabilities: Float64Array,
  { batches, heads, queries, keys }: ProbabilitySizes,
  blocks: { readonly queryBlock: number; readonly keyBlock: number; readonly padded?: boolean },
  valid: (batch: number, head: number) => { readonly queries: number; readonly keys: number } = () => ({
    queries,
    keys,
  }),
): Float64Array {
  const { queryBlock, keyBlock, padded = false } = blocks;
  const [queryBlocks, keyBlocks] = [Math.ceil(queries / queryBlock), Math.ceil(keys / keyBlock)];
  const sums = new Float64Array(batches * heads * queryBlocks * keyBlocks);
  const pairs = new Float64Array(sums.length);
  probabilities.forEach((probability, at) => {
    const key = at % keys;
    const query = Math.floor(at / keys) % queries;
    const head = Math.floor(at / (keys * queries));
    const limit = valid(Math.floor(head / heads), head % heads);
    if (query >= limit.queries || key >= limit.keys) return;
    const block = (head * queryBlocks + Math.floor(query / queryBlock)) * keyBlocks + Math.floor(key / keyBlock);
    sums[block]! += probability;
    pairs[block]!++;
  });
  if (padded) return sums.map((sum) => sum / (queryBlock * keyBlock));
  return sums.map((sum, block) => (pairs[block] === 0 ? 0 : sum / (pairs[block] as number)));
}

import {
  type AttentionOptions,
  add,
  type BlockList,
  cast,
  type Gpu,
  scale,
  type Tensor,
  type TokenList,
} from '@saccade/core';

/**
 * Where one query of a call looks: lists of blocks, and lists of each block of queries, become the one list of its block, which the
 * engine's second pass can take.
 *
 * @returns tensors of the caller's scope
 */
export function whereOneQueryLooks(gpu: Gpu, options: AttentionOptions, query: number): AttentionOptions {
  const { blocks, tokens, ...others } = options;
  if (blocks) return { ...others, tokens: tokensOfBlocks(gpu, blocks, query) };
  if (tokens?.queryBlock === undefined) return options;
  const { queryBlock, ...list } = tokens;
  const at = Math.floor(query / queryBlock);
  return { ...others, tokens: { ...list, ...ofQueryBlock(list, at) } };
}

/** Keys of the blocks that a query's block of queries has listed; those past the last key are nobody's. */
function tokensOfBlocks(gpu: Gpu, { keyBlock, queryBlock, per, ...list }: BlockList, query: number): TokenList {
  const { indices, counts } = ofQueryBlock(list, Math.floor(query / queryBlock));
  const [batches, heads, width] = indices.shape as [number, number, number];
  const within = gpu.tensor(
    Float32Array.from({ length: keyBlock }, (_, index) => index),
    [1, 1, 1, keyBlock],
  );
  // Positions are far below 2^24, so that f32 holds them.
  const first = scale(cast(indices, 'f32'), keyBlock).reshape([batches, heads, width, 1]);
  const keys = cast(add(first, within), 'u32').reshape([batches, heads, width * keyBlock]);
  const count =
    typeof counts === 'object' ? cast(scale(cast(counts, 'f32'), keyBlock), 'u32') : (counts ?? width) * keyBlock;
  return { indices: keys, counts: count, per };
}

/** The list [B, H, K], and its counts [B, H], of one block of queries. */
function ofQueryBlock(
  { indices, counts }: Pick<TokenList, 'indices' | 'counts'>,
  at: number,
): { readonly indices: Tensor; readonly counts?: Tensor | number } {
  const [batches, heads, , width] = indices.shape as [number, number, number, number];
  const own = indices.slice(2, at, at + 1).reshape([batches, heads, width]);
  if (typeof counts !== 'object') return { indices: own, ...(counts === undefined ? {} : { counts }) };
  return { indices: own, counts: counts.slice(2, at, at + 1).reshape([batches, heads]) };
}

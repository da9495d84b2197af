import {
  ArgumentError,
  attention,
  attentionStatistics,
  type BlockList,
  type KeyRows,
  type Mask,
  type Tensor,
  topBlocks,
  type WhereToLook,
} from '@saccade/core';
import { blockBudgets, splitBlocks } from './block-budgets.ts';
import type { ResolvedSparseDOptions } from './options.ts';

/** The blocks that each head's rows of queries keep: lists u32 [B, H, n, K] with counts on the device. */
export type BlockPattern = BlockList & { readonly counts: Tensor };

export interface SelectBlocksOptions
  extends Pick<ResolvedSparseDOptions, 'blockSize' | 'select' | 'isolated' | 'selection'> {
  /** Leading tokens that are the prompt. */
  readonly promptLength: number;
  /** Where attention looks, and its scale. Without lists. */
  readonly where?: WhereToLook;
  /** f32 [B, H, n, n]: {@link blockImportance} of the same call, where it is known. */
  readonly importance?: Tensor;
}

/**
 * Importance of blocks: the mean probability over a block of queries and a block of keys, ragged blocks filled up with zeros. With
 * a `from`, of the softmax over the keys from there on. No matrix of probabilities is stored.
 *
 * @param q f32 or f16 [B, H, N, D]
 * @param k f32 or f16 [B, Hkv, N, D]
 * @returns f32 [B, H, n, n] for n = ceil(N / blockSize); columns before `from` are zero.
 * @throws ShapeError, ArgumentError
 */
export function blockImportance(
  q: Tensor,
  k: KeyRows,
  {
    blockSize,
    where = {},
    from = 0,
  }: { readonly blockSize: number; readonly where?: WhereToLook; readonly from?: number },
): Tensor {
  const range: Mask = { kind: 'keyRange', start: from, end: k.shape[2] as number };
  const restricted: WhereToLook =
    from === 0 ? where : { ...where, mask: where.mask ? { kind: 'allOf', parts: [where.mask, range] } : range };
  return q.gpu.tidy(() => {
    // Only the log-sum-exp is wanted, whatever the values.
    const { logSumExp } = attention(q, k, k, { ...restricted, returnLogSumExp: true });
    const want = { blockMean: { queryBlock: blockSize, keyBlock: blockSize, padded: true } };
    return attentionStatistics(q, k, { ...restricted, logSumExp: logSumExp as Tensor, want }).blockMean;
  });
}

/**
 * The pattern of one layer, by the attention of its queries to its keys: for each head and row of query blocks the most important
 * blocks of the prompt, and the most important ones of what is generated. Stays on the GPU.
 *
 * @param q f32 or f16 [B, H, N, D], position embedding applied
 * @param k f32 or f16 [B, Hkv, N, D]; query heads that share keys have patterns of their own.
 * @throws ShapeError, ArgumentError
 */
export function selectBlocks(q: Tensor, k: KeyRows, options: SelectBlocksOptions): BlockPattern {
  const { blockSize, promptLength, where = {} } = options;
  const length = q.shape[2] as number;
  if (!(Number.isInteger(promptLength) && promptLength >= 0 && promptLength <= length)) {
    throw new ArgumentError('selectBlocks: promptLength', promptLength, `an integer from 0 to ${length}, the sequence`);
  }
  const split = splitBlocks(length, promptLength, blockSize);
  const from = split.firstGenerated * blockSize;
  return q.gpu.tidy(() => {
    const all = options.importance ?? blockImportance(q, k, { blockSize, where });
    const choices = blockBudgets(split, options).map(({ softmaxOver, ...choice }) => ({
      ...choice,
      scores: softmaxOver === 'all' ? all : blockImportance(q, k, { blockSize, where, from }),
    }));
    return topBlocks(choices, { queryBlock: blockSize, keyBlock: blockSize });
  });
}

import type { BlockRange } from '@saccade/core';
import type { ResolvedSparseDOptions } from './options.ts';

/** How a sequence falls into blocks. */
export interface BlockSplit {
  /** Blocks of the sequence, n; the last one may be ragged. */
  readonly blocks: number;
  /** The first block that lies wholly in what is generated (else the last one): a block across the border counts as prompt. */
  readonly firstGenerated: number;
}

export function splitBlocks(length: number, promptLength: number, blockSize: number): BlockSplit {
  const blocks = Math.ceil(length / blockSize);
  return { blocks, firstGenerated: Math.min(Math.ceil(promptLength / blockSize), blocks - 1) };
}

/** One choice of a row's blocks: by the softmax over all keys, or over those that are generated alone. */
export interface BlockBudget {
  readonly softmaxOver: 'all' | 'generated';
  readonly k: number;
  readonly among: BlockRange;
  readonly keep: BlockRange;
}

/** floor(n select) + 1 of n blocks, as in the authors' code, at most all. */
function share(blocks: number, select: number): number {
  return Math.min(blocks, Math.floor(blocks * select) + 1);
}

/** The choices whose union is a row's pattern. */
export function blockBudgets(
  { blocks, firstGenerated }: BlockSplit,
  { select, isolated, selection }: Pick<ResolvedSparseDOptions, 'select' | 'isolated' | 'selection'>,
): BlockBudget[] {
  const all = { start: 0, end: blocks };
  if (!isolated) return [{ softmaxOver: 'all', k: share(blocks, select), among: all, keep: all }];
  const prompt = { start: 0, end: firstGenerated };
  const generated = { start: firstGenerated, end: blocks };
  const ofGenerated: BlockBudget = {
    softmaxOver: selection === 'reference' && firstGenerated > 0 ? 'generated' : 'all',
    k: share(blocks - firstGenerated, select),
    among: generated,
    keep: generated,
  };
  if (firstGenerated === 0) return [ofGenerated];
  // The code ranks all blocks and drops those that are generated; the paper ranks the prompt's alone.
  const ofPrompt: BlockBudget =
    selection === 'reference'
      ? { softmaxOver: 'all', k: share(blocks, select), among: all, keep: prompt }
      : { softmaxOver: 'all', k: share(firstGenerated, select), among: prompt, keep: prompt };
  return [ofPrompt, ofGenerated];
}

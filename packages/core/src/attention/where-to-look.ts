import { Tensor } from '../tensor/tensor.ts';
import type { CallParts } from './call-parts.ts';
import type { AttentionShape } from './check-inputs.ts';
import type { BlockList, HeadGrouping, TokenList } from './lists.ts';
import type { Mask } from './mask.ts';
import { type MaskSources, maskSources } from './mask-sources.ts';
import { predicateText } from './mask-text.ts';
import { everyKey, type PositionVariant } from './positions.ts';
import type { SideInputVariant } from './side-inputs.ts';
import type { WhereToLook } from './types.ts';

/** Where a call's keys come from: the options' lists, intersected with the mask. */
export function callSources({ tokens, blocks, mask }: WhereToLook): MaskSources {
  if (!mask) {
    return {
      range: tokens || blocks ? undefined : true,
      tokens: tokens && { list: tokens },
      blocks: blocks && { list: blocks },
    };
  }
  const parts: Mask[] = [mask];
  if (tokens) parts.push({ kind: 'tokens', list: tokens });
  if (blocks) parts.push({ kind: 'blocks', list: blocks });
  const sources = maskSources(parts.length === 1 ? mask : { kind: 'allOf', parts });
  const empty = !sources.range && !sources.tokens && !sources.blocks;
  return empty ? { range: { kind: 'anyOf', parts: [] } } : sources;
}

/** Lists per head or per query block: how many there are, and how they are found. */
interface ListPlaces {
  readonly heads: number;
  /** Query heads that share a list. */
  readonly share: number;
  /** Lists of a head. */
  readonly rows: number;
}

/** The head axis of a list may be 1: then all heads share it. */
export function listPlaces({ indices }: TokenList | BlockList, shape: AttentionShape): ListPlaces {
  const heads = indices.shape[1] as number;
  return { heads, share: shape.heads / heads, rows: indices.rank === 4 ? (indices.shape[2] as number) : 1 };
}

/** Valid entries of a list as far as the host knows them, and its capacity. */
export function listEntries({ indices, counts }: TokenList | BlockList): { length: number; count: number } {
  const length = indices.shape.at(-1) as number;
  return { length, count: typeof counts === 'number' ? counts : length };
}

/** Whether lists may differ between the query heads of a key/value group. */
export function differsInGroup(per: HeadGrouping, heads: number): boolean {
  return per === 'queryHead' && heads > 1;
}

/** Queries that a workgroup may share lists over; undefined where all queries do. */
export function commonQueryBlock({ tokens, blocks }: MaskSources): number | undefined {
  const sizes = [tokens?.list.queryBlock, blocks?.list.queryBlock].filter((size) => size !== undefined);
  return sizes.length === 0 ? undefined : sizes.reduce(greatestCommonDivisor);
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

/** Compiles where a call looks; its inputs and numbers go to `parts`. */
export function whereToLook(
  shape: AttentionShape,
  options: WhereToLook,
  sources: MaskSources,
  parts: CallParts,
): Omit<PositionVariant, keyof SideInputVariant> {
  const { queries } = shape;
  const { keyLength, queryLength, queryOffset, keyPositions, keyStarts } = options;
  const { tokens, blocks, range } = sources;
  const onDevice = (name: string, value: number | Tensor | undefined): boolean => {
    if (!(value instanceof Tensor)) return false;
    parts.sides.push({ name, type: 'u32', tensor: value });
    return true;
  };
  const keyLengths = !onDevice('key_lengths', keyLength)
    ? 'bound'
    : (keyLength as Tensor).rank === 2
      ? 'kvHead'
      : 'batch';
  // In unions a key's other sources have a say.
  const full = blocks?.where && !tokens && range === undefined ? blocks.list.full : undefined;
  const blockShift = blocks !== undefined && Number.isInteger(Math.log2(blocks.list.keyBlock));
  const variant = {
    ...everyKey,
    keyLengths,
    queryLengths: onDevice('query_lengths', queryLength),
    queryOffsets: onDevice('query_offsets', queryOffset),
    keyPositions: onDevice('key_positions', keyPositions),
    ragged: onDevice('key_starts', keyStarts),
    list: onDevice('list', tokens?.list.indices),
    listCounts: onDevice('list_counts', tokens?.list.counts),
    blocks: onDevice('blocks', blocks?.list.indices),
    blockCounts: onDevice('block_counts', blocks?.list.counts),
    fullBlocks: onDevice('blocks_full', full) ? 'device' : full === undefined ? 'none' : 'host',
    blockShift,
    range: range !== undefined,
    window: options.slidingWindow !== undefined,
    // A single query at the last key sees every key.
    causal:
      options.causal === true &&
      (queries > 1 ||
        keyPositions !== undefined ||
        queryOffset !== undefined ||
        (queryLength !== undefined && queryLength !== queries)),
  } as const;
  if (!blocks && !tokens?.where && tokens?.list.queryBlock === undefined && (range === undefined || range === true)) {
    return variant;
  }
  if (tokens?.list.queryBlock !== undefined) {
    parts.number('list_queries', 'u32', tokens.list.queryBlock);
    parts.number('list_rows', 'u32', listPlaces(tokens.list, shape).rows);
  }
  if (blocks) {
    const { list } = blocks;
    const { heads, share, rows } = listPlaces(list, shape);
    const { length, count } = listEntries(list);
    parts.number('blocks_heads', 'u32', heads);
    parts.number('blocks_share', 'u32', share);
    parts.number('blocks_rows', 'u32', rows);
    parts.number('blocks_length', 'u32', length);
    parts.number('blocks_count', 'u32', count);
    parts.number('blocks_queries', 'u32', list.queryBlock);
    parts.number('key_block', 'u32', list.keyBlock);
    if (typeof full === 'number') parts.number('blocks_full_count', 'u32', full);
    if (blockShift) parts.number('key_block_shift', 'u32', Math.log2(list.keyBlock));
  }
  const queryBlock = commonQueryBlock(sources);
  // As the plan has it: a block of more queries than there are is as long as they are.
  if (queryBlock !== undefined) parts.number('query_block', 'u32', Math.min(queryBlock, queries));
  const sees = (where: Mask | true | undefined) =>
    where === undefined || where === true ? undefined : predicateText(where, shape, parts);
  const ofRange = sees(range);
  return {
    ...variant,
    listQueries: tokens?.list.queryBlock !== undefined,
    queryBlocks: queryBlock !== undefined,
    listSees: sees(tokens?.where)?.sees ?? '',
    blocksSees: sees(blocks?.where)?.sees ?? '',
    rangeSees: ofRange?.sees ?? '',
    rangeBegin: ofRange?.begin ?? '',
    rangeEnd: ofRange?.end ?? '',
  };
}

import { ArgumentError } from '../errors.ts';
import { Tensor } from '../tensor/tensor.ts';
import { type AttentionShape, checkInputs, checkLists } from './check-inputs.ts';
import type { MaskSources } from './mask-sources.ts';
import type { KeyRows } from './paged/paged-rows.ts';
import { planCall } from './plan-call.ts';
import type { AttentionOptions } from './types.ts';
import { callSources, listEntries } from './where-to-look.ts';

/** Declared work of a call. */
export interface AttentionCost {
  readonly flops: number;
  readonly bytes: number;
}

/** Upper bound of a call's work (lengths on the device count as their bounds): 4 D FLOPs per (query head, query, key). */
export function attentionCost(shape: AttentionShape, options: AttentionOptions, sources: MaskSources): AttentionCost {
  const { batches, heads, kvHeads, queries, keys, headSize } = shape;
  const keyLength = typeof options.keyLength === 'number' ? options.keyLength : (options.keyBound ?? keys);
  const queryLength = typeof options.queryLength === 'number' ? options.queryLength : queries;
  const { tokens, blocks, range } = sources;
  const listed = tokens ? listEntries(tokens.list).length : 0;
  const blocked = blocks ? listEntries(blocks.list).length * blocks.list.keyBlock : 0;
  const seen = Math.min(range ? keyLength : listed + blocked, keyLength);
  const perQueryHead = tokens?.list.per === 'queryHead' || blocks?.list.per === 'queryHead';
  const rowsRead = batches * (perQueryHead ? heads : kvHeads) * seen;
  return {
    flops: 4 * batches * heads * queryLength * seen * headSize,
    bytes: 4 * headSize * (2 * rowsRead + 2 * batches * heads * queryLength),
  };
}

/**
 * Key rows that the kernel loads (as many value rows): per group of query rows, the keys that any of them may see. This is
 * what the counting proof compares with the kernel's own count.
 *
 * @throws ArgumentError when lengths or counts stand on the device, where the host cannot know them, and for predicates of
 *   a `mask`, whose bounds only the kernel computes.
 */
export function attentionKeyRows(q: Tensor, k: KeyRows, v: KeyRows, options: AttentionOptions): number {
  const shape = checkInputs(q, k, v, options);
  const sources = callSources(options);
  checkLists('attention', sources, shape);
  const lists = [sources.tokens?.list, sources.blocks?.list];
  for (const value of [
    options.keyLength,
    options.queryLength,
    options.queryOffset,
    ...lists.map((list) => list?.counts),
  ]) {
    if (value instanceof Tensor) throw new ArgumentError('attentionKeyRows: lengths', 'a tensor', 'numbers');
  }
  if (sources.range !== undefined && sources.range !== true) {
    throw new ArgumentError('attentionKeyRows: mask', 'predicates over all keys', 'lists');
  }
  const call = planCall(q.gpu, shape, options, sources);
  const { keyBound, queryBound, listedEntries, rowsPerGroup, headsPerGroup, queryBlock } = call;
  const { batches, heads, queries } = shape;
  // Rows that are not in the order of positions can stand anywhere.
  const { causal, slidingWindow } = options.keyPositions ? {} : options;
  const offset = (options.queryOffset as number | undefined) ?? keyBound - queryBound;
  const clampKey = (position: number) => Math.min(Math.max(position, 0), keyBound);
  let rows = 0;
  for (let block = 0; block < queries; block += queryBlock) {
    const blockEnd = Math.min(block + queryBlock, queries) * headsPerGroup;
    for (let first = block * headsPerGroup; first < blockEnd; first += rowsPerGroup) {
      const last = Math.min(first + rowsPerGroup, blockEnd) - 1;
      const firstQuery = Math.floor(first / headsPerGroup);
      const lastQuery = Math.floor(last / headsPerGroup);
      if (firstQuery >= queryBound || keyBound === 0) continue;
      rows += listedEntries;
      if (!sources.range) continue;
      const begin = slidingWindow === undefined ? 0 : clampKey(offset + firstQuery - slidingWindow + 1);
      const end = causal ? clampKey(offset + lastQuery + 1) : keyBound;
      rows += Math.max(0, end - begin);
    }
  }
  return rows * batches * (heads / headsPerGroup);
}

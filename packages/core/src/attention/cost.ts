import { ArgumentError } from '../errors.ts';
import { Tensor } from '../tensor/tensor.ts';
import { type AttentionShape, checkInputs } from './check-inputs.ts';
import { planCall } from './plan-call.ts';
import type { AttentionOptions } from './types.ts';

/** Declared work of a call. */
export interface AttentionCost {
  readonly flops: number;
  readonly bytes: number;
}

/** Upper bound of a call's work (lengths on the device count as their bounds): 4 D FLOPs per (query head, query, key). */
export function attentionCost(shape: AttentionShape, options: AttentionOptions): AttentionCost {
  const { batches, heads, kvHeads, queries, keys, headSize } = shape;
  const keyLength = typeof options.keyLength === 'number' ? options.keyLength : (options.keyBound ?? keys);
  const queryLength = typeof options.queryLength === 'number' ? options.queryLength : queries;
  const { tokens } = options;
  const seen = tokens ? Math.min(tokens.indices.shape[2] ?? 0, keyLength) : keyLength;
  const rowsRead = batches * (tokens?.per === 'queryHead' ? heads : kvHeads) * seen;
  return {
    flops: 4 * batches * heads * queryLength * seen * headSize,
    bytes: 4 * headSize * (2 * rowsRead + 2 * batches * heads * queryLength),
  };
}

/**
 * Key rows that the kernel loads (as many value rows): per group of query rows, the keys that any of them may see. This is
 * what the counting proof compares with the kernel's own count.
 *
 * @throws ArgumentError when lengths or counts stand on the device, where the host cannot know them.
 */
export function attentionKeyRows(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions): number {
  const shape = checkInputs(q, k, v, options);
  for (const value of [options.keyLength, options.queryLength, options.queryOffset, options.tokens?.counts]) {
    if (value instanceof Tensor) throw new ArgumentError('attentionKeyRows: lengths', 'a tensor', 'numbers');
  }
  const call = planCall(q.gpu.capabilities, shape, options);
  const { keyBound, queryBound, listCount, rowsPerGroup, headsPerGroup } = call;
  const { batches, heads, queries } = shape;
  // Rows that are not in the order of positions can stand anywhere.
  const { causal, slidingWindow } = options.keyPositions ? {} : options;
  const offset = (options.queryOffset as number | undefined) ?? keyBound - queryBound;
  const clampKey = (position: number) => Math.min(Math.max(position, 0), keyBound);
  let rows = 0;
  for (let first = 0; first < queries * headsPerGroup; first += rowsPerGroup) {
    const last = Math.min(first + rowsPerGroup, queries * headsPerGroup) - 1;
    const firstQuery = Math.floor(first / headsPerGroup);
    const lastQuery = Math.floor(last / headsPerGroup);
    if (firstQuery >= queryBound) continue;
    const begin = slidingWindow === undefined ? 0 : clampKey(offset + firstQuery - slidingWindow + 1);
    const end = causal ? clampKey(offset + lastQuery + 1) : keyBound;
    rows += options.tokens ? (keyBound > 0 ? listCount : 0) : Math.max(0, end - begin);
  }
  return rows * batches * (heads / headsPerGroup);
}

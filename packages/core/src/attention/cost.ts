import type { AttentionShape } from './check-inputs.ts';
import type { AttentionOptions } from './types.ts';

/** Declared work of a call. */
export interface AttentionCost {
  readonly flops: number;
  readonly bytes: number;
}

/** Upper bound of a call's work (lengths on the device count as their bounds): 4 D FLOPs per (query head, query, key). */
export function attentionCost(shape: AttentionShape, options: AttentionOptions): AttentionCost {
  const { batches, heads, kvHeads, queries, keys, headSize } = shape;
  const keyLength = typeof options.keyLength === 'number' ? options.keyLength : keys;
  const queryLength = typeof options.queryLength === 'number' ? options.queryLength : queries;
  const { tokens } = options;
  const seen = tokens ? Math.min(tokens.indices.shape[2] ?? 0, keyLength) : keyLength;
  const rowsRead = batches * (tokens?.per === 'queryHead' ? heads : kvHeads) * seen;
  return {
    flops: 4 * batches * heads * queryLength * seen * headSize,
    bytes: 4 * headSize * (2 * rowsRead + 2 * batches * heads * queryLength),
  };
}

/** FlashAttention-2's backward pass in plain f64 loops (algorithm 2): a block of keys owns its rows of dK and dV. */
import { callWindow, firstKeyElement, type ReferenceInput, type ReferenceResult, score } from './reference.ts';

export interface ReferenceGradients {
  /** [B, H, N, D] */
  readonly dq: Float64Array;
  /** [B, Hkv, M, D] */
  readonly dk: Float64Array;
  readonly dv: Float64Array;
  /** [B, H, N]: sum over keys of the gradient by the scores, 0 but for rounding. */
  readonly scoreSums: Float64Array;
}

/**
 * Gradients from the forward pass's results.
 *
 * @param dOut [B, H, N, D]
 */
export function flashAttentionBackwardReference(
  dOut: ArrayLike<number>,
  input: ReferenceInput,
  { out, logSumExp }: Pick<ReferenceResult, 'out' | 'logSumExp'>,
): ReferenceGradients {
  const { batches, heads, queries, keys, headSize, q, k, v, scale = 1 / Math.sqrt(headSize) } = input;
  const { softcap = 0, blockKV = 64 } = input;
  const { left, right } = callWindow(input);
  const dq = new Float64Array(q.length);
  const [dk, dv] = [new Float64Array(k.length), new Float64Array(v.length)];
  const scoreSums = new Float64Array(batches * heads * queries);
  const product = (a: ArrayLike<number>, i: number, b: ArrayLike<number>, j: number) => {
    let sum = 0;
    for (let d = 0; d < headSize; d++) sum += (a[i + d] as number) * (b[j + d] as number);
    return sum;
  };
  // D of the paper: the sum of dO O per row.
  const rowSums = scoreSums.map((_, row) => product(dOut, row * headSize, out, row * headSize));
  for (let head = 0; head < batches * heads; head++) {
    for (let block = 0; block < keys; block += blockKV) {
      for (let query = 0; query < queries; query++) {
        const row = head * queries + query;
        const position = query + keys - queries;
        for (let key = block; key < Math.min(block + blockKV, keys); key++) {
          if (key < position - left || key > position + right) continue;
          const at = firstKeyElement(input, head) + key * headSize;
          const value = score(input, head, query, key);
          const probability = Math.exp(value - (logSumExp[row] as number));
          const slope = softcap === 0 ? 1 : 1 - (value / softcap) ** 2;
          const change = probability * (product(dOut, row * headSize, v, at) - (rowSums[row] as number));
          scoreSums[row]! += change;
          for (let d = 0; d < headSize; d++) {
            dv[at + d]! += probability * (dOut[row * headSize + d] as number);
            dq[row * headSize + d]! += change * slope * scale * (k[at + d] as number);
            dk[at + d]! += change * slope * scale * (q[row * headSize + d] as number);
          }
        }
      }
    }
  }
  return { dq, dk, dv, scoreSums };
}

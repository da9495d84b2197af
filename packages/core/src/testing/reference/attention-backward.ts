import { type AttentionReferenceInput, attentionRow, firstKeyRow, firstPosition, positionOf } from './attention.ts';
import { modifiedScore, modifierSlope } from './score-modifiers.ts';

export interface AttentionGradientsReference {
  /** [B, H, N, D] */
  readonly dq: Float64Array;
  /** [B, Hkv, M, D] */
  readonly dk: Float64Array;
  readonly dv: Float64Array;
}

/**
 * Gradients of `attentionReference`'s output by q, k and v, in f64, by the chain rule row by row: dV = W^T dO, dP = dO V^T,
 * dS = P (dW - sum of P dW), dQ = scale dS K, dK = scale dS^T Q, where W are the factors of values.
 *
 * @param dOut [B, H, N, D]
 */
export function attentionBackwardReference(
  dOut: ArrayLike<number>,
  input: AttentionReferenceInput,
): AttentionGradientsReference {
  const { batches, heads, queries, headSize, scale = 1 / Math.sqrt(headSize) } = input;
  const dq = new Float64Array(input.q.length);
  const [dk, dv] = [new Float64Array(input.k.length), new Float64Array(input.v.length)];
  for (let batch = 0; batch < batches; batch++) {
    for (let head = 0; head < heads; head++) {
      const first = firstKeyRow(input, batch, head);
      for (let query = 0; query < queries; query++) {
        const at = ((batch * heads + head) * queries + query) * headSize;
        const { keyRows, raw, probabilities, weights } = attentionRow(input, batch, head, query);
        const weightGradients = keyRows.map((row) => {
          const from = (first + row) * headSize;
          let dot = 0;
          for (let d = 0; d < headSize; d++) dot += (dOut[at + d] as number) * (input.v[from + d] as number);
          return dot;
        });
        const rowSum = weights.reduce((sum, weight, index) => sum + weight * (weightGradients[index] as number), 0);
        keyRows.forEach((row, index) => {
          const from = (first + row) * headSize;
          const [weight, probability] = [weights[index] as number, probabilities[index] as number];
          const slope = slopeOf(input, raw[index] as number, batch, head, query, row);
          const change = (weight * (weightGradients[index] as number) - probability * rowSum) * slope * scale;
          for (let d = 0; d < headSize; d++) {
            dv[from + d]! += weight * (dOut[at + d] as number);
            dq[at + d]! += change * (input.k[from + d] as number);
            dk[from + d]! += change * (input.q[at + d] as number);
          }
        });
      }
    }
  }
  return { dq, dk, dv };
}

/** Derivative of the modified score by the raw one. */
function slopeOf(
  input: AttentionReferenceInput,
  raw: number,
  batch: number,
  head: number,
  query: number,
  keyRow: number,
): number {
  const queryPosition = firstPosition(input, batch, head) + query;
  const keyPosition = positionOf(input, batch, head, keyRow);
  const pair = { batch, head, query, queryPosition, keyPosition };
  let [score, slope] = [raw, 1];
  for (const modifier of input.scoreModifiers ?? []) {
    slope *= modifierSlope(modifier, score);
    score = modifiedScore(modifier, score, pair, input);
  }
  return slope;
}

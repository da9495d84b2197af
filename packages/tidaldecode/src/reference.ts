/** TidalDecode's decode step in plain f64 loops: the definition that the GPU path is compared with. */
import type { LayerRole } from './layer-roles.ts';

/** One layer's inputs of a decode step. Rows are [head][element] and [kvHead][position][element]. */
export interface ReferenceLayer {
  readonly q: readonly (readonly number[])[];
  readonly keys: readonly (readonly (readonly number[])[])[];
  readonly values: readonly (readonly (readonly number[])[])[];
}

/** Result of one decode step: each layer's head outputs, and the positions that each layer attended, per head. */
export interface ReferenceStep {
  readonly outputs: number[][][];
  readonly attended: number[][][];
}

/** Attention scores q k^T / sqrt(D) of one head over all positions (sheet, step 3). */
export function attentionScores(q: readonly number[], keys: readonly (readonly number[])[]): number[] {
  const scale = 1 / Math.sqrt(q.length);
  return keys.map((key) => scale * key.reduce((sum, value, index) => sum + value * (q[index] as number), 0));
}

/** Ascending positions of the k largest scores, ties to the lower position; with `forceCurrent` the newest is among them. */
export function selectTopTokens(scores: readonly number[], k: number, forceCurrent: boolean): number[] {
  const newest = scores.length - 1;
  const order = scores.map((_, position) => position);
  order.sort((a, b) => {
    if (forceCurrent && (a === newest || b === newest)) return a === newest ? -1 : 1;
    return (scores[b] as number) - (scores[a] as number) || a - b;
  });
  return order.slice(0, Math.min(k, scores.length)).sort((a, b) => a - b);
}

/** softmax over the given positions, times their values. */
export function attendTo(
  positions: readonly number[],
  scores: readonly number[],
  values: readonly (readonly number[])[],
): number[] {
  const maximum = Math.max(...positions.map((position) => scores[position] as number));
  const weights = positions.map((position) => Math.exp((scores[position] as number) - maximum));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const size = (values[0] as readonly number[]).length;
  return Array.from({ length: size }, (_, element) =>
    positions.reduce(
      (sum, position, index) =>
        sum + ((weights[index] as number) / total) * ((values[position] as readonly number[])[element] as number),
      0,
    ),
  );
}

/** Runs the attention of all layers of one decode step; lists are handed on in order of layers. */
export function tidalDecodeReference(
  layers: readonly ReferenceLayer[],
  roles: readonly LayerRole[],
  topK: number,
  forceCurrent: boolean,
): ReferenceStep {
  const outputs: number[][][] = [];
  const attended: number[][][] = [];
  let selection: number[][] | undefined;
  layers.forEach((layer, index) => {
    const perKvHead = layer.q.length / layer.keys.length;
    const scores = layer.q.map((q, head) => attentionScores(q, layer.keys[Math.floor(head / perKvHead)] as number[][]));
    const all = scores.map((row) => row.map((_, position) => position));
    if (roles[index] === 'select') selection = scores.map((row) => selectTopTokens(row, topK, forceCurrent));
    if (roles[index] === 'sparse' && !selection) throw new Error(`Layer ${index} is sparse, but nothing was selected.`);
    const positions = roles[index] === 'sparse' ? (selection as number[][]) : all;
    attended.push(positions);
    outputs.push(
      layer.q.map((_, head) =>
        attendTo(
          positions[head] as number[],
          scores[head] as number[],
          layer.values[Math.floor(head / perKvHead)] as number[][],
        ),
      ),
    );
  });
  return { outputs, attended };
}

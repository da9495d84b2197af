/** SpAtten in plain f64 loops, for one causal pass in mask form: the definition that the GPU path is compared with. */
import { keptCount } from './schedule.ts';

/** Queries, keys and values of one layer, [head][row][element]; as many key/value heads as query heads, or a divisor. */
export interface ReferenceLayer {
  readonly q: readonly (readonly (readonly number[])[])[];
  readonly keys: readonly (readonly (readonly number[])[])[];
  readonly values: readonly (readonly (readonly number[])[])[];
}

export interface ReferenceSettings {
  readonly tokenKeep: readonly number[];
  readonly headKeep: readonly number[];
  readonly valueKeep: number;
  readonly protectFirst: number;
}

/** What one layer gave. */
export interface ReferenceStep {
  /** [head][query][element], before the output projection; zeros for pruned heads. */
  readonly output: number[][][];
  /** Rows, and key/value heads, that were alive. */
  readonly alive: number[];
  readonly heads: number[];
}

/** Accumulated importance; carried from pass to pass. */
export interface ReferenceImportance {
  tokens: number[];
  heads: number[];
}

export function spattenReference(
  layers: readonly ReferenceLayer[],
  settings: ReferenceSettings,
  importance: ReferenceImportance,
): ReferenceStep[] {
  const kvHeads = (layers[0] as ReferenceLayer).keys.length;
  const count = (layers[0] as ReferenceLayer).keys[0]?.length ?? 0;
  let alive = Array.from({ length: count }, (_, row) => row);
  let heads = Array.from({ length: kvHeads }, (_, head) => head);
  const hasScores = importance.tokens.length > 0;
  while (importance.tokens.length < count) importance.tokens.push(0);
  while (importance.heads.length < kvHeads) importance.heads.push(0);
  return layers.map((layer, index) => {
    if (index > 0 || hasScores) {
      alive = narrow(
        alive,
        importance.tokens,
        keptCount(settings.tokenKeep[index] as number, count),
        settings.protectFirst,
      );
      heads = best(heads, importance.heads, keptCount(settings.headKeep[index] as number, kvHeads));
    }
    const output = runLayer(layer, alive, heads, settings.valueKeep, importance);
    return { output, alive: [...alive], heads: [...heads] };
  });
}

function runLayer(
  { q, keys, values }: ReferenceLayer,
  alive: readonly number[],
  heads: readonly number[],
  valueKeep: number,
  importance: ReferenceImportance,
): number[][][] {
  const group = q.length / keys.length;
  const count = keys[0]?.length ?? 0;
  return q.map((queries, head) => {
    const kvHead = Math.floor(head / group);
    return queries.map((query, row) => {
      const output = new Array<number>(query.length).fill(0);
      if (!heads.includes(kvHead)) return output;
      const position = count - queries.length + row;
      const rows = alive.filter((key) => key <= position);
      const weights = softmax(rows.map((key) => dot(query, keys[kvHead]?.[key] as number[]) / Math.sqrt(query.length)));
      rows.forEach((key, at) => {
        importance.tokens[key] = (importance.tokens[key] as number) + (weights[at] as number);
      });
      const places = rows.map((_, at) => at);
      const kept =
        valueKeep < 1 ? best(places, weights, Math.min(keptCount(valueKeep, alive.length), rows.length)) : places;
      for (const at of kept) {
        const value = values[kvHead]?.[rows[at] as number] as number[];
        value.forEach((element, d) => {
          output[d] = (output[d] as number) + (weights[at] as number) * element;
        });
      }
      const size = output.reduce((total, element) => total + Math.abs(element), 0);
      importance.heads[kvHead] = (importance.heads[kvHead] as number) + size;
      return output;
    });
  });
}

/** The protected first rows, the newest, and the most important others: `count` rows, ascending. */
function narrow(alive: readonly number[], scores: readonly number[], count: number, protectFirst: number): number[] {
  if (count >= alive.length) return [...alive];
  const first = Math.min(protectFirst, count - 1);
  const middle = best(alive.slice(first, -1), scores, count - 1 - first);
  return [...alive.slice(0, first), ...middle, alive.at(-1) as number];
}

/** The `count` candidates of the largest scores (ties to the earlier), ascending. */
function best(candidates: readonly number[], scores: readonly number[], count: number): number[] {
  return [...candidates]
    .sort((a, b) => (scores[b] as number) - (scores[a] as number) || a - b)
    .slice(0, count)
    .sort((a, b) => a - b);
}

function softmax(scores: readonly number[]): number[] {
  const largest = Math.max(...scores);
  const weights = scores.map((score) => Math.exp(score - largest));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, index) => sum + value * (b[index] as number), 0);
}

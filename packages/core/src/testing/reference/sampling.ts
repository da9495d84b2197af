import { argsortReference } from './sort.ts';

/** What {@link sampleTokenReference} does with a row of logits. */
export interface SampleReferenceOptions {
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly repetitionPenalty?: number;
  readonly history?: readonly number[];
}

/** A token and how far the nearest other decision was, as a share of probability: below about 1e-5, f32 may differ. */
export interface SampledReference {
  readonly token: number;
  readonly margin: number;
}

/**
 * Token sampling by definition, in f64: repetition penalty, temperature, top-k (with ties), top-p, then the first kept token
 * where the cumulative probability exceeds `uniform`.
 */
export function sampleTokenReference(
  logits: ArrayLike<number>,
  uniform: number,
  options: SampleReferenceOptions = {},
): SampledReference {
  const { temperature = 0, topK = 0, topP = 1, repetitionPenalty = 1, history = [] } = options;
  const scores = Float64Array.from(logits);
  for (const token of new Set(history)) {
    const score = scores[token];
    // Rounded, because which logits are equal is decided in f32.
    if (score !== undefined)
      scores[token] = Math.fround(score > 0 ? score / repetitionPenalty : score * repetitionPenalty);
  }
  const order = argsortReference(scores, true);
  const best = order[0] as number;
  if (temperature === 0) return { token: best, margin: 1 };
  const kth = scores[order[(topK > 0 ? Math.min(topK, scores.length) : scores.length) - 1] as number] as number;
  const ranked = [...order].filter((token) => (scores[token] as number) >= kth);
  const weight = (token: number) => Math.exp(((scores[token] as number) - (scores[best] as number)) / temperature);
  const total = ranked.reduce((sum, token) => sum + weight(token), 0);
  const kept: number[] = [];
  let margin = 1;
  let above = 0;
  for (const token of ranked) {
    margin = topP < 1 && above > 0 ? Math.min(margin, Math.abs(above / total - topP)) : margin;
    if (topP < 1 && above / total >= topP) break;
    kept.push(token);
    above += weight(token);
  }
  let cumulative = 0;
  let chosen = -1;
  for (const token of kept.sort((a, b) => a - b)) {
    cumulative += weight(token) / above;
    margin = Math.min(margin, cumulative < 1 - 1e-12 ? Math.abs(cumulative - uniform) : 1);
    if (chosen < 0 && cumulative > uniform) chosen = token;
  }
  return { token: chosen < 0 ? (kept.at(-1) as number) : chosen, margin };
}

import type { MaskedPair } from '../../attention/mask.ts';
import type { ScoreModifier } from '../../attention/score-modifiers.ts';

/** A score after one modifier, by definition. */
export function modifiedScore(
  modifier: ScoreModifier<ArrayLike<number>>,
  score: number,
  pair: MaskedPair,
  { batches, heads, queries }: { readonly batches: number; readonly heads: number; readonly queries: number },
): number {
  const { batch, head, query, queryPosition, keyPosition } = pair;
  switch (modifier.kind) {
    case 'bias': {
      const row = (batch * heads + head) * queries + query;
      const positions = modifier.bias.length / (batches * heads * queries);
      return score + (modifier.bias[row * positions + keyPosition] as number);
    }
    case 'softCap':
      return modifier.cap * Math.tanh(score / modifier.cap);
    case 'alibi':
      return score - (modifier.slopes[head] as number) * Math.abs(queryPosition - keyPosition);
    case 'relativePosition': {
      const length = modifier.table.length / heads;
      const reach = (length - 1) / 2;
      const distance = Math.min(Math.max(keyPosition - queryPosition, -reach), reach);
      return score + (modifier.table[head * length + distance + reach] as number);
    }
    case 'sinks':
      return score;
    case 'custom':
      if (!modifier.reference) throw new Error('modifiedScore: a custom modifier needs `reference`.');
      return modifier.reference(score, pair);
  }
}

/** Derivative of one modifier at a score. Custom ones have none that is known. */
export function modifierSlope(modifier: ScoreModifier<ArrayLike<number>>, score: number): number {
  if (modifier.kind === 'softCap') return 1 - Math.tanh(score / modifier.cap) ** 2;
  if (modifier.kind === 'custom') throw new Error('modifierSlope: a custom modifier has no known derivative.');
  return 1;
}

/** The sink logit of a head, if there is one. */
export function sinkOf(modifiers: readonly ScoreModifier<ArrayLike<number>>[], head: number): number[] {
  return modifiers.flatMap((modifier) => (modifier.kind === 'sinks' ? [modifier.logits[head] as number] : []));
}

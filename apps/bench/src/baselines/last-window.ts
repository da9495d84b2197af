import { add, concatenate, defineOptions, integer, type Method, type Tensor } from '@saccade/core';
import type { MethodEntry } from '../method-entry.ts';
import { KeyScores } from './key-scores.ts';
import { baselineOptions, tokensAtBudget } from './options.ts';

const options = defineOptions({
  ...baselineOptions,
  window: integer({
    default: 32,
    min: 1,
    description: 'Last tokens of the prompt whose attention picks what is read.',
  }),
  pooling: integer({ default: 5, min: 1, description: 'Neighbouring tokens whose scores are averaged; 1 for none.' }),
});

/**
 * The selection rule of SnapKV (arXiv 2404.14469, section 4): the mass that the prompt's last queries give to each token,
 * averaged over its neighbours, picks the prompt's tokens once; beside them the newest tokens are read, at most half of the
 * budget. A prompt runs in passes: what a last one shorter than half of the window sees adds to what the one before saw.
 */
export const lastWindow: MethodEntry<typeof options> = {
  name: 'last-window',
  title: 'Last-window scores',
  description:
    'Sparse layers read the most recent tokens and the prompt’s tokens that its last window attends to most, as SnapKV keeps.',
  role: 'baseline',
  phases: ['prefill', 'decode'],
  options,
  atBudget: tokensAtBudget,
  create: ({ window, pooling, topK, denseLayers, ...others }): Method<KeyScores> => ({
    name: 'last-window',
    options: { window, pooling, topK, denseLayers, ...others },
    phases: ['prefill', 'decode'],
    requires: { direction: 'causal', globalLayers: 1 },
    createState: ({ gpu, facts }) => new KeyScores(gpu, facts.kvHeads),
    needs: ({ globalLayer, phase }) =>
      phase === 'prefill' && globalLayer >= denseLayers
        ? { keyMass: { per: 'kvHead', queries: { last: window } } }
        : undefined,
    attend({ globalLayer, layer, phase, queryLength, keyLength, state }, _call, next) {
      if (globalLayer < denseLayers) return next();
      if (phase === 'decode') {
        const count = Math.min(topK, keyLength);
        return next({ tokens: state.list(layer, keyLength, count, Math.min(window, Math.ceil(count / 2))) });
      }
      const result = next();
      if (result.statistics?.keyMass) {
        const scores = pooled(result.statistics.keyMass, pooling);
        if (2 * queryLength < window) state.add(layer, scores);
        else state.set(layer, scores);
      }
      return result;
    },
  }),
};

/** Sums over `width` neighbours of each element of the last axis of [1, Hkv, M], zeros beyond the ends. */
function pooled(scores: Tensor, width: number): Tensor {
  if (width === 1) return scores;
  const { gpu } = scores;
  const [, kvHeads, keys] = scores.shape as [number, number, number];
  const before = Math.floor((width - 1) / 2);
  const zeros = (count: number) => gpu.zeros([1, kvHeads, count]);
  const pads = [
    ...(before > 0 ? [zeros(before)] : []),
    scores,
    ...(width - 1 - before > 0 ? [zeros(width - 1 - before)] : []),
  ];
  const padded = concatenate(pads, 2);
  const shifted = Array.from({ length: width }, (_, shift) => padded.slice(2, shift, shift + keys));
  return shifted.reduce((sum, part) => add(sum, part));
}

import type { MethodEntry } from '../method-entry.ts';
import { baselineOptions, tokensAtBudget } from './options.ts';
import { sparseLayers } from './sparse-layers.ts';

/** First tokens that always stay (StreamingLLM's attention sinks). */
const sinks = 4;

/** StreamingLLM's pattern: the first four tokens and the most recent ones. */
export const sinksRecent: MethodEntry<typeof baselineOptions> = {
  name: 'sinks-recent',
  title: 'Sinks and recent window',
  description: 'Sparse layers read the first four tokens and the most recent ones.',
  role: 'baseline',
  phases: ['decode'],
  options: baselineOptions,
  atBudget: tokensAtBudget,
  create: (options) =>
    sparseLayers(
      'sinks-recent',
      options,
      () => ({}),
      ({ gpu, model, layer, keyLength, indices }, _call, count) => {
        // All layers of a step share the list: the first sparse one makes it.
        if (indices.layer < 0) {
          const first = Math.min(sinks, count - 1);
          const positions = Array.from({ length: count }, (_, at) => (at < first ? at : keyLength - count + at));
          const rows = Array.from({ length: model.kvHeads }, () => positions).flat();
          indices.set(layer, { indices: gpu.tensor(rows, [1, model.kvHeads, count], 'u32'), per: 'kvHead' });
        }
        return indices.get(layer);
      },
    ),
};

import { randomUniform, topK } from '@saccade/core';
import { type InterleavedTimes, interleave, speedup } from '../../measure/interleave.ts';
import type { ResultRow } from '../../result-file/types.ts';
import type { Scenario, ScenarioContext, Variant } from '../../scenario.ts';
import { DecodeWorkload, denseBytes, shape } from './decode-workload.ts';
import { topKEntry } from './list-entries.ts';

const layers = 4;

/** `attention/top-k`: what choosing tokens costs beside attending to all. */
export const attentionTopK: Scenario = {
  name: 'attention/top-k',
  title: 'Choice of tokens beside dense attention',
  description:
    'The k largest of given scores for each of 9 query heads, over 4 layers, beside the dense attention of one query per head over a cache of the same length (3 ' +
    'key/value heads of 64), timed alternately. The remark says which share of the dense time the choice takes.',
  needs: 'none',
  phases: ['decode'],
  ownMethods: [topKEntry],
  lengths: { full: [8192, 32768], quick: [2048] },
  budgets: { full: [1], quick: [1] },
  repeats: { full: 20, quick: 10 },
  async *run(context) {
    context.progress.total(context.lengths.length);
    for (const length of context.lengths) {
      yield* measureLength(context, length);
      context.progress.advance(1, `${length} tokens`);
    }
  },
};

async function* measureLength(context: ScenarioContext, length: number): AsyncGenerator<ResultRow> {
  const { gpu, seed } = context;
  const workload = new DecodeWorkload(gpu, length, seed, layers);
  const scores = Array.from({ length: layers }, (_, layer) =>
    gpu.keep(randomUniform(gpu, [1, shape.heads, length], { seed, stream: 500 + layer })),
  );
  try {
    const variants = context.variants(length);
    const select = async (count: number): Promise<undefined> => {
      gpu.tidy(() => {
        for (const each of scores) topK(each, count, { order: 'index' });
      });
      await gpu.synchronize();
    };
    const times = await interleave(
      variants.map((variant) => ({
        name: variant.entry.name,
        run: () => (isChoice(variant) ? select(countOf(variant, length)) : workload.run()),
      })),
      { rounds: context.repeats, signal: context.signal },
    );
    const dense = times.get('dense');
    for (const variant of variants) {
      const own = times.get(variant.entry.name) as InterleavedTimes;
      const share = dense && own.summary.median / dense.summary.median;
      yield await context.measure(variant, { contextLength: length }, async () => ({
        samples: own.summary.n,
        density: null,
        quality: {},
        speed: { attentionMs: own.summary, ...(dense && own !== dense ? { speedup: speedup(dense, own) } : {}) },
        memory: { cacheBytes: (denseBytes(length) * layers) / shape.layers },
        ...(share && own !== dense ? { message: `${(100 * share).toFixed(1)}% of the dense attention's time` } : {}),
      }));
    }
  } finally {
    workload.dispose();
    for (const each of scores) each.dispose();
  }
}

function isChoice({ entry }: Variant): boolean {
  return entry.name === topKEntry.name;
}

function countOf({ options }: Variant, length: number): number {
  return Math.min((options as { readonly topK: number }).topK, length);
}

import { linearAloneEntry } from '@saccade/based/bench';
import { type InterleavedTimes, interleave, speedup } from '../../measure/interleave.ts';
import type { ResultRow } from '../../result-file/types.ts';
import type { Scenario, ScenarioContext, Variant } from '../../scenario.ts';
import { type LengthPass, LengthWorkload, lengthPasses } from './length-workload.ts';

/** `based/length`: time and memory of linear against softmax attention by length. */
export const basedLength: Scenario = {
  name: 'based/length',
  title: 'Linear against softmax attention by length',
  description:
    'One layer’s attention of 2 heads with values of 64, causal: linear attention over Taylor features of queries and keys of `featureDim`, and as the dense row ' +
    'the attention engine. A prompt, a prompt with its gradients, and one token behind it, timed alternately; a repeat is one call of each.',
  needs: 'none',
  phases: ['prefill', 'decode'],
  ownMethods: [linearAloneEntry],
  lengths: { full: [512, 1024, 2048, 4096, 8192, 16384], quick: [256, 512, 1024] },
  budgets: { full: [1], quick: [1] },
  repeats: { full: 3, quick: 3 },
  async *run(context) {
    context.progress.total(context.lengths.length * lengthPasses.length);
    for (const length of context.lengths) {
      const variants = context.variants(length);
      const featureDim = variants.map(({ options }) => options.featureDim).find((size) => typeof size === 'number');
      const workload = new LengthWorkload(context.gpu, length, featureDim ?? 16, context.seed);
      try {
        for (const pass of lengthPasses) {
          yield* measurePass(context, workload, variants, length, pass);
          context.progress.advance(1, `${pass}, ${length} tokens`);
        }
      } finally {
        workload.dispose();
      }
    }
  },
};

async function* measurePass(
  context: ScenarioContext,
  workload: LengthWorkload,
  variants: readonly Variant[],
  length: number,
  pass: LengthPass,
): AsyncGenerator<ResultRow> {
  const isLinear = ({ entry }: Variant) => entry.name === linearAloneEntry.name;
  const peaks = new Map<Variant, number>();
  for (const variant of variants) peaks.set(variant, await workload.peakBytes(isLinear(variant), pass));
  const times = await interleave(
    variants.map((variant) => ({ name: variant.entry.name, run: () => workload.run(isLinear(variant), pass) })),
    { rounds: context.repeats, warmUp: 1, signal: context.signal },
  );
  const dense = times.get('dense');
  for (const variant of variants) {
    const own = times.get(variant.entry.name) as InterleavedTimes;
    const time = pass === 'decode' ? { decodeMsPerToken: own.summary } : { attentionMs: own.summary };
    yield await context.measure(variant, { pass, contextLength: length }, async () => ({
      samples: own.summary.n,
      density: null,
      quality: {},
      speed: { ...time, ...(dense && dense !== own ? { speedup: speedup(dense, own) } : {}) },
      memory: { peakBytes: peaks.get(variant) as number },
    }));
  }
}

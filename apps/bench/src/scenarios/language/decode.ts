import { type KvCache, type Method, MethodRun, randomUniform, summarizeTimings } from '@saccade/core';
import { DecodeSteps, type LanguageModel } from '@saccade/models';
import { cacheMemory } from '../../measure/cache-memory.ts';
import { DensityMeter } from '../../measure/density.ts';
import { interleave, speedup } from '../../measure/interleave.ts';
import type { ResultRow } from '../../result-file/types.ts';
import type { Scenario, ScenarioContext, Variant } from '../../scenario.ts';
import { languageModel } from './language-model.ts';

/** Some methods record each step, in code that the engine compiles once it has run often; others, and the dense run, record only their first. */
const warmUpRounds = 12;

/** `language/decode`: milliseconds per token of the whole model against the length of the context. */
export const languageDecode: Scenario = {
  name: 'language/decode',
  title: 'Time per token',
  description:
    'One decode step of the whole model, from token to logits, on a cache of the given length whose keys and values are random ' +
    '(time does not depend on them). Methods are timed alternately; a repeat is one step. Of it, JavaScript is what the processor does before the queue, ' +
    'idle until then, has the whole step.',
  needs: 'language',
  phases: ['decode'],
  lengths: { full: [512, 1024, 2048, 4096, 8000], quick: [256, 512, 1024] },
  budgets: { full: [0.05, 0.1], quick: [0.1] },
  repeats: { full: 10, quick: 5 },
  async *run(context) {
    const model = languageModel(context);
    context.progress.total(context.lengths.length);
    for (const length of context.lengths) {
      context.progress.advance(1, `${length} tokens`);
      yield* measureLength(context, model, length);
    }
  },
};

async function* measureLength(
  context: ScenarioContext,
  model: LanguageModel,
  length: number,
): AsyncGenerator<ResultRow> {
  const cache = randomCache(model, length, context.seed);
  const runs: {
    readonly variant: Variant;
    readonly run: MethodRun;
    readonly steps: DecodeSteps;
    readonly meter: DensityMeter;
    readonly name: string;
    readonly hostMs: number[];
  }[] = [];
  const token = model.gpu.keep(model.gpu.tensor([1], [1], 'u32'));
  try {
    const refused: ResultRow[] = [];
    for (const variant of context.variants(length)) {
      const meter = new DensityMeter();
      const row = await context.measure(variant, { contextLength: length }, async () => {
        const method = variant.create();
        // A meter is a method that looks at every step: where all read as much, they are timed without it, as in a generation.
        const alike = method === undefined || method.steadySteps === true;
        if (alike) await countKeys(model, cache, meter, method);
        const run = await MethodRun.start(model, alike ? method : meter.behind(method));
        const name = `${variant.entry.name}@${variant.budget ?? 'given'}:${runs.length}`;
        runs.push({ variant, run, steps: new DecodeSteps(model, run), meter, name, hostMs: [] });
        return { samples: 0, density: null, quality: {}, speed: {}, memory: {} };
      });
      if (row.status !== 'ok') refused.push(row);
    }
    yield* refused;
    const peaks = new Map<string, number>();
    const times = await interleave(
      runs.map(({ name, steps, hostMs }) => ({
        name,
        run: async () => {
          model.gpu.resetPeak();
          const start = performance.now();
          steps.next([token], cache);
          model.gpu.flush();
          hostMs.push(performance.now() - start);
          await model.gpu.synchronize();
          cache.truncate(length);
          peaks.set(name, model.gpu.stats().peakBytes);
          return undefined;
        },
      })),
      { rounds: context.repeats, warmUp: warmUpRounds, signal: context.signal },
    );
    const dense = times.get(runs[0]?.name ?? '');
    for (const { variant, meter, name, hostMs } of runs) {
      const own = times.get(name);
      if (!own || !dense) continue;
      yield await context.measure(variant, { contextLength: length }, async () => ({
        samples: own.summary.n,
        ...meter.densities,
        quality: {},
        speed: {
          decodeMsPerToken: own.summary,
          hostMsPerToken: summarizeTimings(hostMs.slice(-own.summary.n)),
          ...(own === dense ? {} : { speedup: speedup(dense, own) }),
        },
        memory: { ...cacheMemory(cache, model.facts), peakBytes: peaks.get(name) ?? 0 },
      }));
    }
  } finally {
    for (const { run, steps } of runs) {
      steps.dispose();
      run.dispose();
    }
    token.dispose();
    cache.dispose();
  }
}

/** A cache of `length` tokens with random keys and values, and room for one more. */
function randomCache(model: LanguageModel, length: number, seed: number): KvCache {
  const { layers, kvHeads, headSize } = model.facts;
  const cache = model.createCache(length + 1);
  for (let layer = 0; layer < layers; layer++) {
    model.gpu.tidy(() => {
      const [k, v] = [0, 1].map((which) =>
        randomUniform(model.gpu, [1, kvHeads, length, headSize], { seed, stream: 2 * layer + which }),
      );
      if (k && v) cache.layer(layer).append(k, v);
    });
  }
  cache.advance(length);
  return cache;
}

/** One step that the meter sees; the cache is as before. */
async function countKeys(
  model: LanguageModel,
  cache: KvCache,
  meter: DensityMeter,
  method: Method | undefined,
): Promise<void> {
  const run = await MethodRun.start(model, meter.behind(method));
  const { length } = cache;
  run.phase = 'decode';
  const { hidden, logits } = model.forward([1], { cache, run });
  hidden.dispose();
  logits?.dispose();
  cache.truncate(length);
  run.dispose();
}

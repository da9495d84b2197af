import { LimitError, RefusedError } from '@saccade/core';
import { flashAttention1Entry, flashAttention2Entry } from '@saccade/flash-attention-2/bench';
import { type InterleavedTimes, interleave, speedup } from '../../measure/interleave.ts';
import type { ResultRow } from '../../result-file/types.ts';
import type { Scenario, ScenarioContext, Variant } from '../../scenario.ts';
import { type Pass, passes, ScheduleWorkload } from './schedules.ts';

/** `flash-attention-2/length`: time and memory of three schedules of exact attention against length. */
export const flashAttention2Length: Scenario = {
  name: 'flash-attention-2/length',
  title: 'Schedules of exact attention against length',
  description:
    'Causal attention of 2 heads of 64, forward and forward with backward: FlashAttention-2, FlashAttention-1’s order of loops out of the same ' +
    'kernels, and as the dense row three kernels with the N x N matrices in memory. They are timed alternately, a repeat is one call of ' +
    'each; three kernels are refused where the device cannot bind a score matrix.',
  needs: 'none',
  phases: ['prefill'],
  ownMethods: [flashAttention1Entry, flashAttention2Entry],
  lengths: { full: [512, 1024, 2048, 4096, 8192, 16384], quick: [256, 512, 1024] },
  budgets: { full: [1], quick: [1] },
  repeats: { full: 5, quick: 5 },
  async *run(context) {
    context.progress.total(context.lengths.length * passes.length);
    for (const length of context.lengths) {
      const workload = new ScheduleWorkload(context.gpu, length, context.seed);
      try {
        for (const pass of passes) {
          yield* measurePass(context, workload, length, pass);
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
  workload: ScheduleWorkload,
  length: number,
  pass: Pass,
): AsyncGenerator<ResultRow> {
  // What does not fit says so once and is not timed.
  const peaks = new Map<Variant, number>();
  for (const variant of context.variants(length)) {
    const row = await context.measure(variant, { pass, contextLength: length }, async () => {
      const peakBytes = workload.peakBytes(variant.entry.name, pass, variant.options);
      peaks.set(variant, await peakBytes.catch(refuseLimit));
      return { samples: 0, density: null, quality: {}, speed: {}, memory: {} };
    });
    if (!peaks.has(variant)) yield row;
  }
  const times = await interleave(
    [...peaks.keys()].map(({ entry, options }) => ({
      name: entry.name,
      run: () => workload.run(entry.name, pass, options),
    })),
    { rounds: context.repeats, warmUp: 1, signal: context.signal },
  );
  const dense = times.get('dense');
  for (const [variant, peakBytes] of peaks) {
    const own = times.get(variant.entry.name) as InterleavedTimes;
    yield await context.measure(variant, { pass, contextLength: length }, async () => ({
      samples: own.summary.n,
      density: null,
      quality: {},
      speed: { attentionMs: own.summary, ...(dense && dense !== own ? { speedup: speedup(dense, own) } : {}) },
      memory: { peakBytes },
    }));
  }
}

/** A matrix that no binding of the device holds is a finding about the schedule, not a failure of the run. */
function refuseLimit(error: unknown): never {
  throw LimitError.isInstance(error) ? new RefusedError(error.message) : error;
}

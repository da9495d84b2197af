import { type InterleavedTimes, interleave, speedup } from '../../measure/interleave.ts';
import { type TrainingShape, trainingFlops } from '../../measure/training-shape.ts';
import type { ResultRow } from '../../result-file/types.ts';
import { measureRoofline } from '../../roofline/measure-roofline.ts';
import { peakRate } from '../../roofline/peaks.ts';
import { shortSweep } from '../../roofline/sweep.ts';
import type { Scenario, ScenarioContext, Variant } from '../../scenario.ts';
import { halfPrecisionEntry, recomputeEntry } from './entries.ts';
import { StepWorkload } from './step-workload.ts';

/** The width of the shipped byte model, and half of its layers. */
const sizes = { layers: 4, hiddenSize: 128, heads: 4, intermediateSize: 352 } as const;
const tokensPerStep = 1024;

/** `training/step`: time and memory of a training step. */
export const trainingStep: Scenario = {
  name: 'training/step',
  title: 'A training step',
  description:
    'A byte model of 4 layers of 128 on rows of a novel, 1,024 tokens in each step: forward, backward, clipping and AdamW, with the loss read back. Plain ' +
    'steps, steps that compute layers again, and products of halves are timed alternately; a repeat is a step of each. The share of the multiply-add peak counts the plain step’s operations.',
  needs: 'none',
  phases: ['prefill'],
  ownMethods: [recomputeEntry, halfPrecisionEntry],
  lengths: { full: [128, 256, 512, 1024], quick: [128] },
  budgets: { full: [1], quick: [1] },
  repeats: { full: 7, quick: 3 },
  async *run(context) {
    const sweep = shortSweep(context.gpu, 2 ** 20);
    context.progress.total(sweep.length + context.lengths.length);
    const roofline = await measureRoofline(context.gpu, sweep, {
      signal: context.signal,
      onStep: (label) => context.progress.advance(1, label),
    });
    for (const length of context.lengths) {
      yield* measureLength(context, length, peakRate(roofline, 'f32-fma'));
      context.progress.advance(1, `rows of ${length} tokens`);
    }
  },
};

async function* measureLength(context: ScenarioContext, length: number, peak: number): AsyncGenerator<ResultRow> {
  const shape: TrainingShape = { ...sizes, length, batch: Math.max(1, Math.round(tokensPerStep / length)) };
  const tokens = shape.batch * length;
  const { gpu, seed, repeats, signal } = context;
  const workloads = new Map<Variant, { workload: StepWorkload; peakBytes: number }>();
  try {
    for (const variant of context.variants(length)) {
      const before = gpu.stats().liveBytes;
      const workload = new StepWorkload(gpu, shape, variant.entry.name, seed);
      workloads.set(variant, { workload, peakBytes: await workload.peakBytes(before) });
    }
    const time = () =>
      interleave(
        [...workloads].map(([{ entry }, { workload }]) => ({
          name: entry.name,
          run: async () => {
            await workload.run();
            return undefined;
          },
        })),
        { rounds: repeats, warmUp: 1, signal },
      );
    const times = await time();
    const dense = times.get('dense');
    for (const [variant, { peakBytes }] of workloads) {
      const own = times.get(variant.entry.name) as InterleavedTimes;
      const share = (found: InterleavedTimes) => trainingFlops(shape) / (found.summary.median / 1000) / peak;
      yield await context.measure(variant, { contextLength: length }, async () => ({
        samples: own.summary.n,
        density: null,
        quality: {},
        speed: {
          stepMs: own.summary,
          tokensPerSecond: tokens / (own.summary.median / 1000),
          ...(dense && dense !== own ? { speedup: speedup(dense, own) } : {}),
        },
        peak: {
          share: share(own),
          measureAgain: async () => share((await time()).get(variant.entry.name) as InterleavedTimes),
        },
        memory: { peakBytes },
      }));
    }
  } finally {
    for (const { workload } of workloads.values()) workload.dispose();
  }
}

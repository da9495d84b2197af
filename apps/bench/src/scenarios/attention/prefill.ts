import { type InterleavedTimes, interleave, speedup } from '../../measure/interleave.ts';
import type { ResultRow } from '../../result-file/types.ts';
import { measureRoofline } from '../../roofline/measure-roofline.ts';
import { peakRate } from '../../roofline/peaks.ts';
import { fmaSweep } from '../../roofline/sweep.ts';
import type { Scenario, ScenarioContext, Variant } from '../../scenario.ts';
import { blockListEntry } from './block-list-entry.ts';
import { denseFlops, PrefillWorkload } from './prefill-workload.ts';

/** One thing to time. */
interface Task {
  readonly variant: Variant;
  readonly name: string;
  /** Share of the blocks that are listed; undefined for the dense call, 0 for the fixed cost of a list. */
  readonly density: number | undefined;
}

/** `attention/prefill`: the bare engine, dense against lists of blocks, with the fixed cost of a list. */
export const attentionPrefill: Scenario = {
  name: 'attention/prefill',
  title: 'Attention of a prompt over lists of blocks',
  description:
    'The bare attention engine on self-attention of 8 heads of 64, not causal; lists are random, per head and block of 64 queries, and name blocks of ' +
    '64 keys. All calls are timed alternately, a repeat is one call of each; density is the kernel’s own count of loaded key rows over that of the dense ' +
    'call, and the row of density 0 is what an empty list costs. The share of the multiply-add peak is that of the two products.',
  needs: 'none',
  phases: ['prefill'],
  ownMethods: [blockListEntry],
  lengths: { full: [4096], quick: [512] },
  budgets: { full: [1 / 2, 1 / 4, 1 / 8, 1 / 16], quick: [1 / 4] },
  repeats: { full: 7, quick: 3 },
  async *run(context) {
    const sweep = fmaSweep(context.gpu);
    context.progress.total(sweep.length + context.lengths.length);
    const roofline = await measureRoofline(context.gpu, sweep, {
      signal: context.signal,
      onStep: (label) => context.progress.advance(1, label),
    });
    for (const length of context.lengths) {
      yield* measureLength(context, length, peakRate(roofline, 'f32-fma'));
      context.progress.advance(1, `${length} tokens`);
    }
  },
};

async function* measureLength(context: ScenarioContext, length: number, peak: number): AsyncGenerator<ResultRow> {
  const workload = new PrefillWorkload(context.gpu, length, context.seed);
  try {
    const tasks = tasksOf(context.variants(length));
    const lists = new Map(
      tasks.map(({ name, density }) => [name, density === undefined ? undefined : workload.lists(density)]),
    );
    const time = (timed: readonly Task[]) =>
      interleave(
        timed.map(({ name }) => ({ name, run: () => workload.run(lists.get(name)) })),
        { rounds: context.repeats, warmUp: 1, signal: context.signal },
      );
    const times = await time(tasks);
    const dense = times.get('dense');
    const denseRows = await workload.keyRows(undefined);
    for (const task of tasks) {
      const { variant, name, density } = task;
      const own = times.get(name) as InterleavedTimes;
      const extra = { contextLength: length, ...(density === undefined ? {} : { density }) };
      yield await context.measure(variant, extra, async () => {
        const read = (await workload.keyRows(lists.get(name))) / denseRows;
        const share = ({ summary }: InterleavedTimes) => (read * denseFlops(length)) / (summary.median / 1000) / peak;
        return {
          samples: own.summary.n,
          density: read,
          quality: {},
          speed: { attentionMs: own.summary, ...(dense && density ? { speedup: speedup(dense, own) } : {}) },
          peak: {
            share: share(own),
            measureAgain: async () => share((await time([task])).get(name) as InterleavedTimes),
          },
          memory: {},
        };
      });
    }
  } finally {
    workload.dispose();
  }
}

/** A task per variant, and one with an empty list. */
function tasksOf(variants: readonly Variant[]): Task[] {
  const listed = variants.filter(({ entry }) => entry.name === blockListEntry.name);
  const dense = variants.filter(({ entry }) => entry.name !== blockListEntry.name);
  const task = (variant: Variant, density: number): Task => ({ variant, name: `blocks:${density}`, density });
  const densities = listed.map((variant) => task(variant, (variant.options as { readonly density: number }).density));
  const [first] = listed;
  return [
    ...dense.map((variant) => ({ variant, name: 'dense', density: undefined })),
    ...densities,
    ...(first && densities.every(({ density }) => density !== 0) ? [task({ ...first, budget: null }, 0)] : []),
  ];
}

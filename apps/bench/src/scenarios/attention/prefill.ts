import { type InterleavedTimes, interleave, speedup } from '../../measure/interleave.ts';
import type { ResultRow } from '../../result-file/types.ts';
import type { Scenario, ScenarioContext, Variant } from '../../scenario.ts';
import { blockListEntry } from './block-list-entry.ts';
import { PrefillWorkload } from './prefill-workload.ts';

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
    'call, and the row of density 0 is what an empty list costs.',
  needs: 'none',
  phases: ['prefill'],
  ownMethods: [blockListEntry],
  lengths: { full: [4096], quick: [512] },
  budgets: { full: [1 / 2, 1 / 4, 1 / 8, 1 / 16], quick: [1 / 4] },
  repeats: { full: 7, quick: 3 },
  async *run(context) {
    context.progress.total(context.lengths.length);
    for (const length of context.lengths) {
      yield* measureLength(context, length);
      context.progress.advance(1, `${length} tokens`);
    }
  },
};

async function* measureLength(context: ScenarioContext, length: number): AsyncGenerator<ResultRow> {
  const workload = new PrefillWorkload(context.gpu, length, context.seed);
  try {
    const tasks = tasksOf(context.variants(length));
    const lists = new Map(
      tasks.map(({ name, density }) => [name, density === undefined ? undefined : workload.lists(density)]),
    );
    const times = await interleave(
      tasks.map(({ name }) => ({ name, run: () => workload.run(lists.get(name)) })),
      { rounds: context.repeats, warmUp: 1, signal: context.signal },
    );
    const dense = times.get('dense');
    const denseRows = await workload.keyRows(undefined);
    for (const { variant, name, density } of tasks) {
      const own = times.get(name) as InterleavedTimes;
      const extra = { contextLength: length, ...(density === undefined ? {} : { density }) };
      yield await context.measure(variant, extra, async () => ({
        samples: own.summary.n,
        density: (await workload.keyRows(lists.get(name))) / denseRows,
        quality: {},
        speed: { attentionMs: own.summary, ...(dense && density ? { speedup: speedup(dense, own) } : {}) },
        memory: {},
      }));
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

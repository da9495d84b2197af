import type { TokenList } from '@saccade/core';
import { type InterleavedTimes, interleave, speedup } from '../../measure/interleave.ts';
import type { ResultRow } from '../../result-file/types.ts';
import type { Scenario, ScenarioContext, Variant } from '../../scenario.ts';
import { DecodeWorkload, denseBytes, shape } from './decode-workload.ts';
import { emptyListEntry, listShareEntry } from './list-entries.ts';

const layers = 8;

/** Below this density a fixed cost may be a large part of the time. */
const lowDensity = 1 / 8;

/** One thing to time. */
interface Task {
  readonly variant: Variant;
  readonly name: string;
  readonly lists: readonly TokenList[] | undefined;
}

/** `attention/list-density`: whether token lists keep what they save. */
export const attentionListDensity: Scenario = {
  name: 'attention/list-density',
  title: 'Token lists against their density',
  description:
    'The bare attention engine on one query per head, 9 query heads on 3 key/value heads of 64, 8 layers with a cache each, one submission: dense, lists per ' +
    'key/value head and empty lists, timed alternately. The density is the share of rows that a counting build loads; remarks compare a time with that ' +
    'share of the dense time, below 1/8 also after subtracting the time of empty lists.',
  needs: 'none',
  phases: ['decode'],
  ownMethods: [listShareEntry, emptyListEntry],
  lengths: { full: [4096, 16384], quick: [1024] },
  budgets: { full: [1 / 2, 1 / 4, 1 / 8, 1 / 16], quick: [1 / 2, 1 / 16] },
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
  const workload = new DecodeWorkload(context.gpu, length, context.seed, layers);
  try {
    const tasks = context.variants(length).map((variant) => taskOf(workload, variant, length));
    const times = await interleave(
      tasks.map(({ name, lists }) => ({ name, run: () => workload.run(lists) })),
      { rounds: context.repeats, signal: context.signal },
    );
    const dense = times.get('dense');
    for (const { variant, name, lists } of tasks) {
      const own = times.get(name) as InterleavedTimes;
      yield await context.measure(variant, { contextLength: length }, async () => {
        const density = await workload.density(lists?.[0]);
        const remark =
          dense && lists && density > 0 ? remarkOf(own, dense, density, times.get(emptyListEntry.name)) : {};
        return {
          samples: own.summary.n,
          density,
          quality: {},
          speed: { attentionMs: own.summary, ...(dense && lists ? { speedup: speedup(dense, own) } : {}) },
          memory: { cacheBytes: (denseBytes(length) * layers) / shape.layers },
          ...remark,
        };
      });
    }
  } finally {
    workload.dispose();
  }
}

function taskOf(workload: DecodeWorkload, variant: Variant, length: number): Task {
  const { name } = variant.entry;
  if (name === emptyListEntry.name) return { variant, name, lists: workload.emptyLists(256) };
  if (name !== listShareEntry.name) return { variant, name: 'dense', lists: undefined };
  const count = Math.min((variant.options as { readonly topK: number }).topK, length);
  return { variant, name: `lists:${count}`, lists: workload.lists('kvHead', count) };
}

/** How a time compares with its share of the dense time. */
function remarkOf(
  own: InterleavedTimes,
  dense: InterleavedTimes,
  density: number,
  empty: InterleavedTimes | undefined,
): { readonly message: string } {
  const share = density * dense.summary.median;
  const ratio = (ms: number) => (ms / share).toFixed(2);
  const whole = `${ratio(own.summary.median)} x density x dense`;
  if (!empty || density >= lowDensity) return { message: whole };
  const fixed = empty.summary.median;
  return {
    message: `${whole}; ${ratio(own.summary.median - fixed)} without the ${fixed.toFixed(2)} ms of empty lists`,
  };
}

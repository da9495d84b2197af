import type { TokenList } from '@saccade/core';
import { type InterleavedTimes, interleave, speedup } from '../../measure/interleave.ts';
import type { ResultRow, Roofline } from '../../result-file/types.ts';
import { measureRoofline } from '../../roofline/measure-roofline.ts';
import { peakRate } from '../../roofline/peaks.ts';
import { shortSweep } from '../../roofline/sweep.ts';
import type { Scenario, ScenarioContext, Variant } from '../../scenario.ts';
import { DecodeWorkload, denseBytes, denseFlops } from './decode-workload.ts';
import { tokenListEntry } from './token-list-entry.ts';

type ListKind = TokenList['per'];

/** One thing to time: the dense engine, or the engine on lists. */
interface Task {
  readonly variant: Variant;
  readonly lists: ListKind | undefined;
  readonly topK: number;
  readonly name: string;
}

/** `attention/decode`: the bare engine, one decode step of SmolLM2's 30 layers, dense against token lists. */
export const attentionDecode: Scenario = {
  name: 'attention/decode',
  title: 'Attention of a decode step',
  description:
    'The bare attention engine on one query per head in SmolLM2-135M’s shape: 30 layers with a cache each, one submission. ' +
    'Dense and token lists are timed alternately; a repeat is one such step.',
  needs: 'none',
  phases: ['decode'],
  ownMethods: [tokenListEntry],
  lengths: { full: [1024, 2048, 4096, 8192], quick: [1024] },
  budgets: { full: [1], quick: [1] },
  repeats: { full: 20, quick: 20 },
  async *run(context) {
    // A kernel is compared with the peak of its own working set.
    const candidates = new Map(
      context.lengths.map((length) => [length, shortSweep(context.gpu, denseBytes(length))] as const),
    );
    const steps = [...candidates.values()].reduce((sum, { length }) => sum + length, context.lengths.length);
    context.progress.total(steps);
    for (const [length, sweep] of candidates) {
      const roofline = await measureRoofline(context.gpu, sweep, {
        signal: context.signal,
        onStep: (label) => context.progress.advance(1, label),
      });
      yield* measureLength(context, length, roofline);
      context.progress.advance(1, `${length} tokens`);
    }
  },
};

async function* measureLength(context: ScenarioContext, length: number, roofline: Roofline): AsyncGenerator<ResultRow> {
  const workload = new DecodeWorkload(context.gpu, length, context.seed);
  try {
    const tasks = context.variants(length).flatMap((variant) => tasksOf(variant, length));
    const lists = new Map(tasks.map((task) => [task.name, task.lists && workload.lists(task.lists, task.topK)]));
    const time = (timed: readonly Task[]) =>
      interleave(
        timed.map((task) => ({ name: task.name, run: () => workload.run(lists.get(task.name)) })),
        { rounds: context.repeats, signal: context.signal },
      );
    const times = await time(tasks);
    const dense = times.get('dense');
    const measureAgain = async () => {
      const again = await time(tasks.filter(({ name }) => name === 'dense'));
      return shareOfPeak(length, (again.get('dense') as InterleavedTimes).summary.median, roofline);
    };
    for (const task of tasks) {
      const own = times.get(task.name);
      if (!own || !dense) continue;
      const extra = task.lists ? { lists: task.lists, contextLength: length } : { contextLength: length };
      yield await context.measure(task.variant, extra, async () => ({
        samples: own.summary.n,
        density: task.lists ? task.topK / length : 1,
        quality: {},
        speed: { attentionMs: own.summary, ...(task.lists ? { speedup: speedup(dense, own) } : {}) },
        ...(task.lists ? {} : { peak: { share: shareOfPeak(length, own.summary.median, roofline), measureAgain } }),
        memory: { cacheBytes: denseBytes(length) },
      }));
    }
  } finally {
    workload.dispose();
  }
}

/** The dense variant is one task; token lists are one per kind unless the user named a kind. */
function tasksOf(variant: Variant, length: number): Task[] {
  if (variant.entry.name !== tokenListEntry.name) return [{ variant, lists: undefined, topK: length, name: 'dense' }];
  const { lists, topK } = variant.options as { readonly lists: ListKind | null; readonly topK: number };
  const kinds: readonly ListKind[] = lists === null ? ['queryHead', 'kvHead'] : [lists];
  const count = Math.min(topK, length);
  return kinds.map((kind) => ({ variant, lists: kind, topK: count, name: `${kind}:${count}` }));
}

/** The larger of the shares of the read peak and of the multiply-add peak. */
function shareOfPeak(length: number, ms: number, roofline: Roofline): number {
  const seconds = ms / 1000;
  return Math.max(
    denseBytes(length) / seconds / peakRate(roofline, 'read', denseBytes(length)),
    denseFlops(length) / seconds / peakRate(roofline, 'f32-fma'),
  );
}

import type { TokenList } from '@saccade/core';
import { interleave, speedup } from '../../measure/interleave.ts';
import type { ResultRow } from '../../result-file/types.ts';
import { measureRoofline, rooflineSteps } from '../../roofline/measure-roofline.ts';
import type { Scenario, ScenarioContext, Variant } from '../../scenario.ts';
import { DecodeWorkload } from './decode-workload.ts';
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
    context.progress.total(rooflineSteps(context.gpu) + context.lengths.length);
    const { signal } = context;
    const roofline = await measureRoofline(context.gpu, {
      signal,
      onStep: (label) => context.progress.advance(1, label),
    });
    const peak = (name: string) => {
      const value = roofline.peaks.find((candidate) => candidate.name === name)?.value;
      return typeof value === 'object' && 'median' in value ? value.median : Number.POSITIVE_INFINITY;
    };
    for (const length of context.lengths) {
      yield* measureLength(context, length, { read: peak('read'), fma: peak('f32-fma') });
      context.progress.advance(1, `${length} tokens`);
    }
  },
};

async function* measureLength(
  context: ScenarioContext,
  length: number,
  peaks: { readonly read: number; readonly fma: number },
): AsyncGenerator<ResultRow> {
  const workload = new DecodeWorkload(context.gpu, length, context.seed);
  try {
    const tasks = context.variants(length).flatMap((variant) => tasksOf(variant, length));
    const lists = new Map(tasks.map((task) => [task.name, task.lists && workload.lists(task.lists, task.topK)]));
    const times = await interleave(
      tasks.map((task) => ({ name: task.name, run: () => workload.run(lists.get(task.name)) })),
      { rounds: context.repeats, signal: context.signal },
    );
    const dense = times.get('dense');
    for (const task of tasks) {
      const own = times.get(task.name);
      if (!own || !dense) continue;
      const extra = task.lists ? { lists: task.lists, contextLength: length } : { contextLength: length };
      yield await context.measure(task.variant, extra, async () => ({
        samples: own.summary.n,
        density: task.lists ? task.topK / length : 1,
        quality: {},
        speed: {
          attentionMs: own.summary,
          ...(task.lists
            ? { speedup: speedup(dense, own) }
            : { shareOfPeak: shareOfPeak(workload, own.summary.median, peaks) }),
        },
        memory: { cacheBytes: workload.denseBytes },
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
function shareOfPeak(
  workload: DecodeWorkload,
  ms: number,
  peaks: { readonly read: number; readonly fma: number },
): number {
  const seconds = ms / 1000;
  return Math.max(workload.denseBytes / seconds / peaks.read, workload.denseFlops / seconds / peaks.fma);
}

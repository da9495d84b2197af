import { countKeyRows } from '@saccade/core/testing';
import { type InterleavedTimes, interleave, speedup } from '../../measure/interleave.ts';
import type { ResultRow } from '../../result-file/types.ts';
import type { Scenario, ScenarioContext, Variant } from '../../scenario.ts';
import { GridWorkload, headSize, heads, squareLayout } from './grid-workload.ts';
import { gridKernels, type PreparedKernel } from './kernels.ts';

/** Most repeats of one length: a dense call takes seconds at the longest one on a software adapter. */
const repeatsOfLong = 3;
const longFrom = 16384;

/** `diffusion/attention`: sparse attention of image tokens, time against density. */
export const diffusionAttention: Scenario = {
  name: 'diffusion/attention',
  title: 'Attention of image tokens',
  description:
    `Self-attention of ${heads} heads of ${headSize} over a square grid of tokens, as in a layer of a diffusion transformer: dense, and ways to look at a share of the keys. ` +
    'All are timed alternately, a repeat is one call of each with all that every layer pays for (at 16,384 tokens three at most); density is the kernel’s own count of ' +
    'loaded key rows over that of the dense call.',
  needs: 'none',
  phases: ['denoise'],
  ownMethods: gridKernels.map(({ entry }) => entry),
  telling: [],
  lengths: { full: [1024, 4096, 16384], quick: [1024] },
  budgets: { full: [1 / 4, 1 / 8, 1 / 16], quick: [1 / 4] },
  repeats: { full: 5, quick: 3 },
  async *run(context) {
    context.progress.total(context.lengths.length);
    for (const length of context.lengths) {
      yield* measureLength(context, length);
      context.progress.advance(1, `${length} tokens`);
    }
  },
};

/** One thing to time. */
interface Task {
  readonly name: string;
  readonly variant: Variant;
  readonly kernel: PreparedKernel;
}

async function* measureLength(context: ScenarioContext, length: number): AsyncGenerator<ResultRow> {
  const { gpu, seed, signal } = context;
  const workload = new GridWorkload(gpu, squareLayout(length), seed);
  const tasks: Task[] = [];
  try {
    tasks.push(...context.variants(length).map((variant, at) => taskOf(workload, variant, at)));
    const times = await interleave(
      tasks.map(({ name, kernel }) => ({
        name,
        run: async () => {
          kernel.run();
          await gpu.synchronize();
          return undefined;
        },
      })),
      { rounds: length >= longFrom ? Math.min(context.repeats, repeatsOfLong) : context.repeats, warmUp: 1, signal },
    );
    const rowsOf = (kernel: PreparedKernel) => countKeyRows(gpu, (counter) => kernel.run(counter));
    const dense = tasks.find(({ name }) => name === 'dense');
    const denseTimes = times.get('dense');
    const denseRows = dense && (await rowsOf(dense.kernel));
    const { tokens } = workload;
    for (const { name, variant, kernel } of tasks) {
      const own = times.get(name) as InterleavedTimes;
      yield await context.measure(variant, { tokens, contextLength: tokens }, async () => ({
        samples: own.summary.n,
        density: denseRows ? (await rowsOf(kernel)) / denseRows : null,
        quality: {},
        speed: {
          attentionMs: own.summary,
          ...(denseTimes && name !== 'dense' ? { speedup: speedup(denseTimes, own) } : {}),
        },
        memory: {},
      }));
    }
  } finally {
    for (const { kernel } of tasks) kernel.dispose();
    workload.dispose();
  }
}

function taskOf(workload: GridWorkload, variant: Variant, at: number): Task {
  const kernel = gridKernels.find(({ entry }) => entry.name === variant.entry.name);
  if (kernel) {
    return { name: `${variant.entry.name}:${at}`, variant, kernel: kernel.prepare(workload, variant.options) };
  }
  const run = (keyRowCounter?: Parameters<PreparedKernel['run']>[0]) => {
    workload.gpu.tidy(() => {
      workload.attention(keyRowCounter ? { keyRowCounter } : {});
    });
  };
  return { name: 'dense', variant, kernel: { run, dispose: () => {} } };
}

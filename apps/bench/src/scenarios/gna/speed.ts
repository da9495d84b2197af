import { attention, contiguous, type Tensor, tokenPermute } from '@saccade/core';
import { countKeyRows } from '@saccade/core/testing';
import { NeighborhoodPlan } from '@saccade/gna';
import { gnaKernelEntry } from '@saccade/gna/bench';
import { type InterleavedTimes, interleave, speedup } from '../../measure/interleave.ts';
import type { ResultRow } from '../../result-file/types.ts';
import type { Scenario, ScenarioContext, Variant } from '../../scenario.ts';
import { prepareGna } from '../diffusion/gna-kernel.ts';
import { GridWorkload, headSize, heads } from '../diffusion/grid-workload.ts';
import type { PreparedKernel } from '../diffusion/kernels.ts';
import { type SpeedSetting, speedSettings } from './settings.ts';

/** On tokens in the model's order, or on tokens that stand in tiles: models may order them once, at entry. */
const parts = ['whole', 'kernel'] as const;

/** `gna/speed`: what the simulator predicts, and what the kernel reaches. */
export const gnaSpeed: Scenario = {
  name: 'gna/speed',
  title: 'Neighbourhoods as simulated and as measured',
  description:
    `Self-attention of ${heads} heads of ${headSize} on layouts of 2 and 3 axes: the perfectly block-sparse setting that the search finds nearest to a window, and the same window ` +
    'sliding, on tokens in their order (whole) and on tokens that stand in tiles (kernel). Dense attention and all settings of a layout are timed alternately. A repeat of ' +
    'dense is one call; of a setting as many calls in one submission as last about as long, so that waiting for the adapter and short disturbances weigh alike. Speed-ups are ratios of ' +
    'medians, and take nine repeats or more to be steady on two cores; the share of the predicted speed-up is that of the tiles visited on average.',
  needs: 'none',
  phases: ['denoise'],
  ownMethods: [gnaKernelEntry],
  telling: ['layout', 'window', 'stride', 'part'],
  lengths: { full: [1024, 4096, 16384], quick: [1024] },
  budgets: { full: [1], quick: [1] },
  repeats: { full: 9, quick: 3 },
  async *run(context) {
    context.progress.total(context.lengths.length);
    for (const length of context.lengths) {
      const settings = speedSettings(length);
      const layouts = [...new Set(settings.map(({ layout }) => String(layout)))];
      for (const layout of layouts) {
        yield* measureLayout(
          context,
          length,
          settings.filter((setting) => String(setting.layout) === layout),
        );
      }
      context.progress.advance(1, `${length} tokens`);
    }
  },
};

interface Task {
  readonly name: string;
  readonly variant: Variant;
  readonly setting?: SpeedSetting;
  readonly part?: (typeof parts)[number];
  readonly kernel: PreparedKernel;
}

/** Calls that last about as long as a dense one; few, as each is recorded by the same cores that compute. */
function callsOf({ predicted }: SpeedSetting): number {
  return Math.min(8, Math.max(1, Math.round(predicted)));
}

async function* measureLayout(
  context: ScenarioContext,
  length: number,
  settings: readonly SpeedSetting[],
): AsyncGenerator<ResultRow> {
  const { gpu, seed, signal, repeats } = context;
  const workload = new GridWorkload(gpu, (settings[0] as SpeedSetting).layout, seed);
  const tasks: Task[] = [];
  try {
    for (const variant of context.variants(length)) tasks.push(...tasksOf(workload, variant, settings));
    const times = await interleave(
      tasks.map(({ name, kernel, setting }) => ({
        name,
        run: async () => {
          const calls = setting ? callsOf(setting) : 1;
          const start = performance.now();
          for (let call = 0; call < calls; call++) kernel.run();
          await gpu.synchronize();
          return (performance.now() - start) / calls;
        },
      })),
      { rounds: repeats, warmUp: 1, signal },
    );
    const rowsOf = (kernel: PreparedKernel) => countKeyRows(gpu, (counter) => kernel.run(counter));
    const dense = tasks.find(({ setting }) => setting === undefined);
    const denseTimes = dense && times.get(dense.name);
    const denseRows = dense && (await rowsOf(dense.kernel));
    for (const { name, variant, setting, part, kernel } of tasks) {
      const own = times.get(name) as InterleavedTimes;
      const faster = denseTimes && setting ? speedup(denseTimes, own) : undefined;
      const extra = { layout: workload.layout, contextLength: length, ...(setting ? { ...setting, part } : {}) };
      yield await context.measure(variant, extra, async () => ({
        samples: own.summary.n,
        density: denseRows ? (await rowsOf(kernel)) / denseRows : null,
        quality: {},
        speed: {
          attentionMs: own.summary,
          ...(faster && setting ? { speedup: faster, shareOfPredicted: faster.value / setting.predicted } : {}),
        },
        memory: {},
      }));
    }
  } finally {
    for (const { kernel } of tasks) kernel.dispose();
    workload.dispose();
  }
}

function tasksOf(workload: GridWorkload, variant: Variant, settings: readonly SpeedSetting[]): Task[] {
  if (variant.entry.name !== gnaKernelEntry.name) {
    const run = (keyRowCounter?: Tensor) => {
      workload.gpu.tidy(() => {
        workload.attention(keyRowCounter ? { keyRowCounter } : {});
      });
    };
    return [{ name: 'dense', variant, kernel: { run, dispose: () => {} } }];
  }
  return settings.flatMap((setting, at) =>
    parts.map((part) => ({
      ...{ name: `${part}:${at}`, variant: { ...variant, options: {} }, setting, part },
      kernel: part === 'whole' ? prepareGna(workload, setting) : prepareTiled(workload, setting),
    })),
  );
}

/** Attention over tokens that stand in tiles already. */
function prepareTiled(workload: GridWorkload, setting: SpeedSetting): PreparedKernel {
  const { gpu, layout } = workload;
  const plan = new NeighborhoodPlan(gpu, { layout, batches: 1 }, setting);
  const [q, k, v] = gpu.tidy(() =>
    [workload.q, workload.k, workload.v].map((x, at) => {
      const order = at === 0 ? plan.queryOrder : plan.keyOrder;
      const own = workload.headsFirst(x);
      return gpu.keep(order ? tokenPermute(own, order) : contiguous(own));
    }),
  ) as [Tensor, Tensor, Tensor];
  return {
    run(keyRowCounter) {
      gpu.tidy(() => {
        attention(q, k, v, { ...plan.where, ...(keyRowCounter ? { keyRowCounter } : {}) });
      });
    },
    dispose() {
      for (const tensor of [q, k, v]) tensor.dispose();
      plan.dispose();
    },
  };
}

import {
  type AttentionContext,
  add,
  defineOptions,
  integer,
  type Mask,
  type Method,
  number,
  type OptionsOf,
  subtract,
  type Tensor,
} from '@saccade/core';
import type { MethodEntry } from '../method-entry.ts';

/** Baselines of denoising: the same keys for every head in every sparse step, dense attention in the first ones. */
const staticOptions = defineOptions({
  density: number({
    default: 0.1,
    min: 0,
    max: 1,
    description: 'Share of the keys that a query reads in a sparse step.',
  }),
  denseShare: number({
    default: 0.2,
    min: 0,
    max: 1,
    description: 'Share of the steps, at the beginning, that stay dense.',
  }),
});

const reuseOptions = defineOptions({
  ...staticOptions,
  period: integer({ default: 5, min: 1, description: 'Steps from one dense step to the next, after the first ones.' }),
});

type StaticOptions = OptionsOf<typeof staticOptions>;

const atBudget = (budget: number) => ({ density: budget });

/** Whether a step is one of the first, dense ones. */
function isFirst({ step }: AttentionContext, { denseShare }: StaticOptions): boolean {
  return step !== undefined && step.index < Math.ceil(denseShare * step.count);
}

/** The nearest tokens in the sequence, as many before a query as behind it. */
function windowMask(share: number, keys: number): Mask {
  const half = Math.max(0, Math.floor((share * keys - 1) / 2));
  return { kind: 'slidingWindow', before: half, after: half };
}

/** Half of the keys near the query, half in columns that all queries read. */
function stripesMask(share: number, keys: number): Mask {
  const stride = Math.max(1, Math.round(2 / share));
  return { kind: 'anyOf', parts: [windowMask(share / 2, keys), { kind: 'strided', stride }] };
}

function staticPattern(name: string, options: StaticOptions, mask: (share: number, keys: number) => Mask): Method {
  return {
    name,
    options: { ...options },
    phases: ['denoise'],
    requires: { direction: 'bidirectional' },
    attend: (context, _, next) =>
      isFirst(context, options) ? next() : next({ mask: mask(options.density, context.keyLength) }),
  };
}

/** The nearest tokens alone. */
export const denoisingWindow: MethodEntry<typeof staticOptions> = {
  name: 'denoising-window',
  title: 'Window',
  description: 'Every query reads the tokens nearest to it in the sequence, after dense first steps.',
  role: 'baseline',
  phases: ['denoise'],
  options: staticOptions,
  atBudget,
  create: (options) => staticPattern('denoising-window', options, windowMask),
};

/** A static pattern that reaches over the whole sequence. */
export const denoisingStripes: MethodEntry<typeof staticOptions> = {
  name: 'denoising-stripes',
  title: 'Window and columns',
  description:
    'Half of the keys are the nearest ones, half evenly spaced columns that all queries read, after dense first steps.',
  role: 'baseline',
  phases: ['denoise'],
  options: staticOptions,
  atBudget,
  create: (options) => staticPattern('denoising-stripes', options, stripesMask),
};

/** What dense attention had beside the window's, by layer and sequence: [B, H, N, D]. */
interface ReuseState {
  readonly residuals: Map<string, Tensor>;
  dispose(): void;
}

/** DiTFastAttn's window attention with residual sharing (arXiv 2406.08552): what a dense step had beside the window's output is added in the following ones. */
export const windowReuse: MethodEntry<typeof reuseOptions> = {
  name: 'window-reuse',
  title: 'Window with reused residual',
  description:
    'A window, plus the difference between dense and window attention from the last dense step, which comes every few steps.',
  role: 'baseline',
  phases: ['denoise'],
  options: reuseOptions,
  atBudget,
  create: (options): Method<ReuseState> => ({
    name: 'window-reuse',
    options: { ...options },
    phases: ['denoise'],
    requires: { direction: 'bidirectional' },
    createState() {
      const residuals = new Map<string, Tensor>();
      return {
        residuals,
        dispose() {
          for (const tensor of residuals.values()) tensor.dispose();
        },
      };
    },
    attend(context, _, next) {
      const { state, gpu, step, keyLength } = context;
      const place = `${context.layer}/${context.sequence}`;
      const first = Math.ceil(options.denseShare * (step?.count ?? 1));
      const index = step?.index ?? 0;
      const mask = windowMask(options.density, keyLength);
      if (index < first) return next();
      const kept = state.residuals.get(place);
      if (kept && (index - first) % options.period !== 0) return { output: add(next({ mask }).output, kept) };
      const dense = next();
      kept?.dispose();
      state.residuals.set(place, gpu.keep(subtract(dense.output, next({ mask }).output)));
      return dense;
    },
  }),
};

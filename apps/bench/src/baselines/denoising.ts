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

/** Baselines of denoising: the same keys for every head in every sparse step, dense attention in the first ones and in every fifth. */
const options = defineOptions({
  density: number({
    default: 0.1,
    min: 0,
    max: 1,
    description: 'Share of the keys that a query reads in a sparse step.',
  }),
  denseShare: number({
    default: 0.25,
    min: 0,
    max: 1,
    description: 'Share of the steps, at the beginning, that stay dense.',
  }),
  period: integer({
    default: 5,
    min: 1,
    description: 'Steps from one dense step to the next, after the first ones; as many as there are or more: none.',
  }),
});

type Options = OptionsOf<typeof options>;

const atBudget = (budget: number) => ({ density: budget });

/** What a step does: one of the first, dense ones, a dense one of those that come every few steps, or a sparse one. */
function kindOf({ step }: AttentionContext, { denseShare, period }: Options): 'first' | 'dense' | 'sparse' {
  if (!step) return 'sparse';
  const behind = step.index - Math.ceil(denseShare * step.count);
  if (behind < 0) return 'first';
  return behind % period === 0 ? 'dense' : 'sparse';
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

function staticPattern(name: string, given: Options, mask: (share: number, keys: number) => Mask): Method {
  return {
    name,
    options: { ...given },
    phases: ['denoise'],
    requires: { direction: 'bidirectional' },
    attend: (context, _, next) =>
      kindOf(context, given) === 'sparse' ? next({ mask: mask(given.density, context.keyLength) }) : next(),
  };
}

/** The nearest tokens alone. */
export const denoisingWindow: MethodEntry<typeof options> = {
  name: 'denoising-window',
  title: 'Window',
  description: 'Every query reads the tokens nearest to it in the sequence, between dense steps.',
  role: 'baseline',
  phases: ['denoise'],
  options,
  atBudget,
  create: (given) => staticPattern('denoising-window', given, windowMask),
};

/** A static pattern that reaches over the whole sequence. */
export const denoisingStripes: MethodEntry<typeof options> = {
  name: 'denoising-stripes',
  title: 'Window and columns',
  description:
    'Half of the keys are the nearest ones, half evenly spaced columns that all queries read, between dense steps.',
  role: 'baseline',
  phases: ['denoise'],
  options,
  atBudget,
  create: (given) => staticPattern('denoising-stripes', given, stripesMask),
};

/** What dense attention had beside the window's, by layer and sequence: [B, H, N, D]. */
interface ReuseState {
  readonly residuals: Map<string, Tensor>;
  dispose(): void;
}

/** DiTFastAttn's window attention with residual sharing (arXiv 2406.08552): what a dense step had beside the window's output is added in the following ones. */
export const windowReuse: MethodEntry<typeof options> = {
  name: 'window-reuse',
  title: 'Window with reused residual',
  description:
    'A window, plus the difference between dense and window attention from the last dense step, which comes every few steps.',
  role: 'baseline',
  phases: ['denoise'],
  options,
  atBudget,
  create: (given): Method<ReuseState> => ({
    name: 'window-reuse',
    options: { ...given },
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
      const { state, gpu, keyLength } = context;
      const place = `${context.layer}/${context.sequence}`;
      const kind = kindOf(context, given);
      if (kind === 'first') return next();
      const mask = windowMask(given.density, keyLength);
      const kept = state.residuals.get(place);
      if (kept && kind === 'sparse') return { output: add(next({ mask }).output, kept) };
      const dense = next();
      kept?.dispose();
      state.residuals.set(place, gpu.keep(subtract(dense.output, next({ mask }).output)));
      return dense;
    },
  }),
};

import {
  type AttendedResult,
  type AttentionContext,
  type DenoisingStep,
  type Method,
  parseOptions,
  RefusedError,
} from '@saccade/core';
import { type Attended, cacheStatistics } from './kernels/cache-statistics.ts';
import { reshapeOutput } from './kernels/reshape-output.ts';
import { type ReTtentionOptions, reTtentionOptions } from './options.ts';
import { stepKind } from './schedule.ts';
import { ReTtentionState } from './state.ts';

type Context = AttentionContext<ReTtentionState>;

/**
 * Re-ttention (arXiv 2505.22918): self-attention of diffusion transformers in a narrow window. Every few steps are dense and gather,
 * per query, the share of the probability that the window holds and what all other keys contribute; the steps between them attend in
 * the window alone, scale its output by that share and add the rest.
 *
 * @throws OptionError for an option out of its range. When it runs: ArgumentError for steps out of order, for token grids that do not
 *   fit and for sizes that change between two caching steps; RefusedError for a sample that does not begin with its dense steps.
 */
export function reTtention(options: ReTtentionOptions = {}): Method<ReTtentionState> {
  const resolved = parseOptions(reTtentionOptions, options);

  const kindOf = ({ step, globalLayer, state }: Context) => {
    if (globalLayer < 0) return undefined;
    if (!step) throw new RefusedError('re-ttention follows denoising steps, and this run does not tell its step.');
    // Half of all tokens to each side would still miss some at the ends.
    if (resolved.density === 1) return 'dense';
    const kind = stepKind(step.index, resolved);
    // What was gathered in another stage is of another size, noise or guidance.
    return kind === 'sparse' && state.beginsStage(step) ? 'cache' : kind;
  };

  return {
    name: 're-ttention',
    options: resolved,
    phases: ['denoise'],
    requires: { phases: ['denoise'], direction: 'bidirectional', globalLayers: 1 },
    listsKeys: true,
    createState: ({ gpu }) => new ReTtentionState(gpu, resolved),
    needs: (context) => (kindOf(context) === 'cache' ? { logSumExp: true } : undefined),

    attend(context, call, next) {
      const kind = kindOf(context);
      if (kind === undefined) return next();
      const { gpu, state, step, globalLayer, sequence, model } = context;
      const [batches, , tokens] = call.q.shape as [number, number, number];
      const index = step?.index as number;
      const key = state.enter(step as DenoisingStep, globalLayer, sequence);
      if (kind === 'dense') return next();
      const window = state.window(tokens, batches, model.tokenGrid);
      if (kind === 'cache') {
        const full = next();
        state.store(
          key,
          gpu.tidy(() => cacheStatistics(withLogSumExp(full), withLogSumExp(next(window)))),
        );
        return full;
      }
      const cache = state.find(key, call.q.shape);
      // The first sparse step behind a caching one has the ratio itself.
      const added = (index - cache.step - 1) * resolved.ramp;
      return { output: reshapeOutput(next(window).output, cache, { added, clamped: resolved.clampRatio }) };
    },
  };
}

/** @throws RefusedError where another method, behind this one, computed the output without it */
function withLogSumExp({ output, logSumExp }: AttendedResult): Attended {
  if (!logSumExp) throw new RefusedError('re-ttention gathers sums of exponentials, which another method replaces.');
  return { output, logSumExp };
}

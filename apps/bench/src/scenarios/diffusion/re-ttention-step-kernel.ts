import { attention, bareRun, type Method, type Tensor } from '@saccade/core';
import { reTtention } from '@saccade/re-ttention';
import { type ReTtentionStepOptions, reTtentionStepEntry } from '@saccade/re-ttention/bench';
import type { GridKernel } from './kernels.ts';

/** More steps than anybody times. */
const steps = 2 ** 20;

/** A sparse step with all that it does: the window, its scaling and the residual. The dense step that gathers is not timed. */
export const reTtentionStepKernel: GridKernel = {
  entry: reTtentionStepEntry,
  prepare: (workload, given) => {
    const { gpu, q, k, v, layout } = workload;
    const { density } = given as unknown as ReTtentionStepOptions;
    let counter: Tensor | undefined;
    const counting: Method = {
      name: 'counting',
      options: {},
      phases: ['denoise'],
      attend: (_context, _call, next) => next(counter && { keyRowCounter: counter }),
    };
    const [, heads, headSize] = q.shape.slice(1) as [number, number, number];
    const [height, width] = layout as [number, number];
    const facts = {
      ...{ layers: 1, heads, kvHeads: heads, headSize, causal: false },
      tokenGrid: { height, width, textTokens: 0, textFirst: false },
    };
    const method = reTtention({ density, warmupSteps: 0, cachePeriod: steps, ramp: 0 });
    const run = bareRun(gpu, [method, counting], facts);
    let index = 0;
    const step = () => {
      run.denoisingStep = { index: index++, count: steps, stage: 0 };
      gpu.tidy(() => {
        attention(gpu, workload.headsFirst(q), workload.headsFirst(k), workload.headsFirst(v), { run, causal: false });
      });
    };
    step();
    return {
      run(keyRowCounter) {
        counter = keyRowCounter;
        step();
        counter = undefined;
      },
      dispose: () => run.dispose(),
    };
  },
};

import { NeighborhoodPlan, neighborhoodAttention } from '@saccade/gna';
import { gnaKernelEntry } from '@saccade/gna/bench';
import type { GridWorkload } from './grid-workload.ts';
import type { GridKernel, PreparedKernel } from './kernels.ts';

/** One entry per axis. */
interface Setting {
  readonly window: readonly number[];
  readonly stride: readonly number[];
  readonly queryTile: readonly number[];
  readonly keyTile: readonly number[];
}

/** Neighbourhood attention of a workload's tokens, planned once. */
export function prepareGna(workload: GridWorkload, options: Setting): PreparedKernel {
  const { gpu, layout, q, k, v } = workload;
  const plan = new NeighborhoodPlan(gpu, { layout, batches: 1 }, options);
  return {
    run(keyRowCounter) {
      gpu.tidy(() => {
        const [queries, keys, values] = [q, k, v].map((x) => x.reshape([1, ...layout, ...x.shape.slice(2)])) as [
          typeof q,
          typeof k,
          typeof v,
        ];
        const counting = keyRowCounter ? { keyRowCounter } : {};
        neighborhoodAttention(queries, keys, values, { ...options, plan, ...counting });
      });
    },
    dispose: () => plan.dispose(),
  };
}

/** The whole of it: tokens into tiles, attention, and back. */
export const gnaKernel: GridKernel = {
  entry: gnaKernelEntry,
  prepare: (workload, given) => {
    const options = given as unknown as Setting;
    const rank = workload.layout.length;
    const perAxis = (values: readonly number[]) =>
      values.length === 1 ? new Array<number>(rank).fill(values[0] as number) : values;
    return prepareGna(workload, {
      window: perAxis(options.window),
      stride: perAxis(options.stride),
      queryTile: perAxis(options.queryTile),
      keyTile: perAxis(options.keyTile),
    });
  },
};

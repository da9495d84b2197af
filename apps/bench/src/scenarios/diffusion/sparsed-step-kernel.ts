import { selectBlocks } from '@saccade/sparsed';
import { type SparsedStepOptions, sparsedStepEntry } from '@saccade/sparsed/bench';
import type { GridKernel } from './kernels.ts';

/** Attention over blocks that were chosen once; choosing is not timed, as a run pays for it in one step alone. */
export const sparsedStepKernel: GridKernel = {
  entry: sparsedStepEntry,
  prepare: (workload, given) => {
    const { gpu, q, k } = workload;
    const options = given as unknown as SparsedStepOptions;
    const blocks = gpu.tidy(() =>
      selectBlocks(workload.headsFirst(q), workload.headsFirst(k), {
        ...options,
        promptLength: 0,
        isolated: true,
        selection: 'reference',
      }),
    );
    gpu.keep(blocks.indices);
    gpu.keep(blocks.counts);
    return {
      run: (keyRowCounter) => {
        gpu.tidy(() => {
          workload.attention({ blocks, ...(keyRowCounter ? { keyRowCounter } : {}) });
        });
      },
      dispose() {
        blocks.indices.dispose();
        blocks.counts.dispose();
      },
    };
  },
};

import type { Gpu } from '../device/gpu.ts';
import { randomNormal } from '../random/uniform.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { TuningWorkload } from '../tuning/measure-tuning.ts';
import { attention } from './attention.ts';
import { prefillVariant, subgroupRowsWorkgroup } from './prefill-variants.ts';

/** Causal self-attention of 4 heads of 64: 512 tokens on a software adapter, 2,048 elsewhere. */
export function prefillWorkload(gpu: Gpu): TuningWorkload {
  const headSize = 64;
  const shape = [1, 4, gpu.capabilities.software ? 512 : 2048, headSize];
  const inputs = [1, 2, 3].map((seed) => gpu.keep(randomNormal(gpu, shape, { seed })));
  const [q, k, v] = inputs as [Tensor, Tensor, Tensor];
  return {
    run: (variant) => {
      const { layout, access, rowsPerInvocation } = prefillVariant(variant);
      const sharedRows = rowsPerInvocation(headSize) * subgroupRowsWorkgroup(gpu.capabilities);
      const subgroupRows = layout === 'rows' && access === 'subgroup';
      attention(q, k, v, { causal: true, plan: { layout, access, ...(subgroupRows ? { sharedRows } : {}) } });
    },
    dispose: () => {
      for (const input of inputs) input.dispose();
    },
  };
}

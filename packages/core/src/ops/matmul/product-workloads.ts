import type { Gpu } from '../../device/gpu.ts';
import { randomNormal } from '../../random/uniform.ts';
import { blockSizes } from '../../tensor/blocks/block-type.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { TuningWorkload } from '../../tuning/measure-tuning.ts';
import { linear } from './linear.ts';
import { quantizedTensor } from './quantized-tensor.ts';
import type { MatmulSchedule } from './schedules.ts';

/** Rows, inner size and columns of a layer of a small language model: fewer rows on a software adapter. */
function sizes({ capabilities }: Gpu): [rows: number, inner: number, columns: number] {
  return capabilities.software ? [128, 576, 384] : [1024, 2048, 2048];
}

function workload(gpu: Gpu, makeWeight: (columns: number, inner: number) => Tensor): TuningWorkload {
  const [rows, inner, columns] = sizes(gpu);
  const x = gpu.keep(randomNormal(gpu, [rows, inner], { seed: 1 }));
  const weight = gpu.keep(makeWeight(columns, inner));
  return {
    run: (variant) => {
      linear(x, weight, { schedule: variant as MatmulSchedule });
    },
    dispose: () => {
      x.dispose();
      weight.dispose();
    },
  };
}

/** A linear layer with an f32 weight. */
export function floatWorkload(gpu: Gpu): TuningWorkload {
  return workload(gpu, (columns, inner) => randomNormal(gpu, [columns, inner], { seed: 2 }));
}

/** A linear layer with a 4-bit weight; its numbers do not matter. */
export function quantizedWorkload(gpu: Gpu): TuningWorkload {
  const { elements, bytes } = blockSizes.q4_0;
  return workload(gpu, (columns, inner) =>
    quantizedTensor(gpu, 'q4_0', [columns, inner], new Uint8Array(((columns * inner) / elements) * bytes).fill(0x11)),
  );
}

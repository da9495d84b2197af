import { prefillFamily } from '../attention/prefill-variants.ts';
import { prefillWorkload } from '../attention/prefill-workload.ts';
import type { Gpu } from '../device/gpu.ts';
import { floatWorkload, quantizedWorkload } from '../ops/matmul/product-workloads.ts';
import { floatProducts, quantizedProducts } from '../ops/matmul/schedules.ts';
import { median } from '../statistics/quantile.ts';
import type { TunedFamily, Tuning } from './tuning.ts';

/** Work that shows a family's speed. */
export interface TuningWorkload {
  /** Records the work in a variant. */
  run(variant: string): void;
  /** Frees the inputs. */
  dispose(): void;
}

/** A family with the work that it is measured by. */
interface MeasuredFamily {
  readonly family: TunedFamily;
  readonly workload: (gpu: Gpu) => TuningWorkload;
}

/** Every family that is tuned. */
const families: readonly MeasuredFamily[] = [
  { family: prefillFamily, workload: prefillWorkload },
  { family: floatProducts, workload: floatWorkload },
  { family: quantizedProducts, workload: quantizedWorkload },
];

/** Samples of a variant, taken in turns, so that a disturbance does not hit one alone. */
const rounds = 5;

/** Measures the variants of every family; see `Gpu.tune`. */
export async function measureTuning(gpu: Gpu, adapter: string): Promise<Tuning> {
  const choices: Record<string, string> = {};
  const milliseconds: Record<string, Record<string, number>> = {};
  for (const { family, workload } of families) {
    const variants = family.variants(gpu.capabilities);
    const medians = variants.length === 1 ? {} : await measureFamily(gpu, variants, workload(gpu));
    choices[family.name] = variants.reduce((best, variant) =>
      (medians[variant] ?? 0) < (medians[best] ?? 0) ? variant : best,
    );
    milliseconds[family.name] = medians;
  }
  return { adapter, choices, milliseconds };
}

/** Median milliseconds of each variant; compiling does not count. */
async function measureFamily(
  gpu: Gpu,
  variants: readonly string[],
  workload: TuningWorkload,
): Promise<Record<string, number>> {
  try {
    const samples = variants.map((variant) => ({ variant, times: [] as number[] }));
    for (let round = 0; round <= rounds; round++) {
      for (const { variant, times } of samples) {
        await gpu.synchronize();
        const start = performance.now();
        gpu.tidy(() => workload.run(variant));
        await gpu.synchronize();
        if (round > 0) times.push(performance.now() - start);
      }
    }
    return Object.fromEntries(samples.map(({ variant, times }) => [variant, median(times)]));
  } finally {
    workload.dispose();
  }
}

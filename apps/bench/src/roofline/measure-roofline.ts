import { type Gpu, summarizeTimings } from '@saccade/core';
import type { Roofline, RooflinePeak } from '../result-file/types.ts';
import { fmaBenchmark, type Microbenchmark, memoryBenchmark } from './microkernels.ts';

export interface RooflineOptions {
  readonly signal: AbortSignal;
  /** Called after each microbenchmark with what comes next. */
  readonly onStep?: (label: string) => void;
  /** Measured launches of each microbenchmark; default 9. */
  readonly repeats?: number;
}

/** What each peak is measured with: the best candidate counts. */
function candidates(gpu: Gpu): readonly (() => Microbenchmark)[] {
  const bytes = Math.min(96 * 2 ** 20, gpu.capabilities.maxStorageBinding);
  return [
    ...[4, 8, 12].map((chains) => () => fmaBenchmark(gpu, chains)),
    () => memoryBenchmark(gpu, 'read', bytes),
    () => memoryBenchmark(gpu, 'copy', bytes),
  ];
}

/** Microbenchmarks that {@link measureRoofline} runs. */
export function rooflineSteps(gpu: Gpu): number {
  return candidates(gpu).length;
}

/** The adapter's own peaks in WGSL: f32 multiply-adds, reading and copying. Each is the best over its candidates. */
export async function measureRoofline(gpu: Gpu, options: RooflineOptions): Promise<Roofline> {
  const best = new Map<string, RooflinePeak & { readonly median: number }>();
  for (const make of candidates(gpu)) {
    options.signal.throwIfAborted();
    const benchmark = make();
    try {
      options.onStep?.(benchmark.description);
      const rates = await measureRates(gpu, benchmark, options.repeats ?? 9);
      const value = summarizeTimings(rates);
      const { name, description, unit } = benchmark;
      if (value.median > (best.get(name)?.median ?? 0))
        best.set(name, { name, description, unit, value, median: value.median });
    } finally {
      benchmark.dispose();
    }
  }
  return { peaks: [...best.values()].map(({ median: _, ...peak }) => peak) };
}

/** Units of work per second of each launch, after two that do not count. */
async function measureRates(gpu: Gpu, benchmark: Microbenchmark, repeats: number): Promise<number[]> {
  const rates: number[] = [];
  for (let round = -2; round < repeats; round++) {
    const start = performance.now();
    benchmark.launch();
    await gpu.synchronize();
    if (round >= 0) rates.push(benchmark.work / ((performance.now() - start) / 1000));
  }
  return rates;
}

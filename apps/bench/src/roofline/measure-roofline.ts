import { type Gpu, summarizeTimings, type TimingSummary } from '@saccade/core';
import { theoreticalFma } from '#theoretical';
import type { Roofline, RooflinePeak } from '../result-file/types.ts';
import { type Microbenchmark, type PeakName, peakUnit } from './microbenchmark.ts';
import type { Candidate } from './sweep.ts';

export interface RooflineOptions {
  readonly signal: AbortSignal;
  /** Called before each candidate, with what comes next. */
  readonly onStep?: (label: string) => void;
  /** Samples of each candidate; default 7. */
  readonly repeats?: number;
  /** A peak whose candidates have taken longer than this samples each further one once; default without end. */
  readonly secondsPerPeak?: number;
}

/** A sample lasts about this long, so that submission and wake-up do not count. */
const sampleMs = 12;
const mostLaunches = 256;

/** Share of the best rate under which a candidate that takes long is not worth more samples. */
const hopeless = 0.5;

/** The adapter's own peaks in WGSL: of each kind (and working set) the best candidate, with the whole sweep beside it. */
export async function measureRoofline(
  gpu: Gpu,
  candidates: readonly Candidate[],
  options: RooflineOptions,
): Promise<Roofline> {
  const peaks = new Map<string, RooflinePeak>();
  const theoretical = theoreticalFma(gpu);
  const spentMs = new Map<string, number>();
  for (const make of candidates) {
    options.signal.throwIfAborted();
    const benchmark = make();
    const { name, description, parameters, workingSetBytes } = benchmark;
    try {
      options.onStep?.(description);
      const key = `${name}/${workingSetBytes ?? ''}`;
      const known = peaks.get(key);
      const best = known && (known.value as TimingSummary).median;
      const spent = spentMs.get(key) ?? 0;
      const late = spent > 1000 * (options.secondsPerPeak ?? Number.POSITIVE_INFINITY);
      const start = performance.now();
      const value = await measureCandidate(gpu, benchmark, late ? 1 : (options.repeats ?? 7), best);
      spentMs.set(key, spent + performance.now() - start);
      const wins = best === undefined || better(name, value.median, best);
      peaks.set(key, {
        name,
        description,
        unit: peakUnit(name),
        ...(workingSetBytes === undefined ? {} : { workingSetBytes }),
        value: wins ? value : (known as RooflinePeak).value,
        ...(name === 'f32-fma' && theoretical ? { theoretical } : {}),
        sweep: [...(known?.sweep ?? []), { parameters, value }],
      });
    } finally {
      benchmark.dispose();
    }
  }
  return { peaks: [...peaks.values()] };
}

function better(name: PeakName, value: number, known: number): boolean {
  return peakUnit(name) === 's' ? value < known : value > known;
}

/** Rates per second of the samples, or seconds of a latency. What is far from the best so far is sampled once. */
async function measureCandidate(
  gpu: Gpu,
  benchmark: Microbenchmark,
  repeats: number,
  best: number | undefined,
): Promise<TimingSummary> {
  await sample(gpu, benchmark, 1);
  const once = await sample(gpu, benchmark, 1);
  const rate = benchmark.work / once;
  if (once >= sampleMs / 1000 && best !== undefined && rate < hopeless * best) return summarizeTimings([rate]);
  const launches = Math.max(1, Math.min(mostLaunches, Math.ceil(sampleMs / 1000 / once)));
  const values: number[] = [];
  for (let round = 0; round < repeats; round++) {
    const seconds = await sample(gpu, benchmark, launches);
    const latency = peakUnit(benchmark.name) === 's';
    values.push(latency ? seconds / launches : (benchmark.work * launches) / seconds);
  }
  return summarizeTimings(values);
}

/** Seconds that launches take until the GPU is done. */
async function sample(gpu: Gpu, benchmark: Microbenchmark, launches: number): Promise<number> {
  const start = performance.now();
  for (let launch = 0; launch < launches; launch++) {
    benchmark.launch();
    await benchmark.between?.();
  }
  await gpu.synchronize();
  return (performance.now() - start) / 1000;
}

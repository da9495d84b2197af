import { quantizedDtypes } from '@saccade/core';
import { modestGpu, sharedGpu } from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import { describeEnvironment } from '../src/result-file/environment.ts';
import type { Roofline } from '../src/result-file/types.ts';
import { validateResultFile } from '../src/result-file/validate.ts';
import { fmaBenchmark } from '../src/roofline/arithmetic.ts';
import { measureRoofline } from '../src/roofline/measure-roofline.ts';
import { memoryBenchmark } from '../src/roofline/memory.ts';
import { fullSweep } from '../src/roofline/sweep.ts';
import { unpackBenchmark } from '../src/roofline/unpack.ts';

const signal = new AbortController().signal;
const median = (value: unknown): number => (value as { median: number }).median;

describe('measureRoofline', () => {
  it('keeps the best candidate of each peak and working set, with its sweep', async () => {
    const gpu = await sharedGpu();
    const before = gpu.stats().liveBytes;
    const read = { name: 'read', width: 4, unroll: 1, invocations: 64 } as const;
    const roofline: Roofline = await measureRoofline(
      gpu,
      [
        () => fmaBenchmark(gpu, { dtype: 'f32', chains: 1, width: 1, invocations: 64, unroll: 1 }),
        () => fmaBenchmark(gpu, { dtype: 'f32', chains: 8, width: 1, invocations: 64, unroll: 8 }),
        () => memoryBenchmark(gpu, { ...read, bytes: 2 ** 20 }),
        () => memoryBenchmark(gpu, { ...read, bytes: 2 ** 22 }),
        () => unpackBenchmark(gpu, { dtype: 'q6_k', columns: 2, invocations: 64 }),
      ],
      { signal, repeats: 3 },
    );
    expect(roofline.peaks.map(({ name, workingSetBytes }) => [name, workingSetBytes])).toEqual([
      ['f32-fma', undefined],
      ['read', 2 ** 20],
      ['read', 2 ** 22],
      ['unpack-q6_k', undefined],
    ]);
    const fma = roofline.peaks[0];
    expect(fma?.sweep?.map(({ parameters }) => parameters.chains)).toEqual([1, 8]);
    expect(median(fma?.value)).toBe(Math.max(...(fma?.sweep?.map(({ value }) => median(value)) ?? [])));
    const environment = describeEnvironment(gpu, { commandLine: 'roofline', quick: false, leftOut: [] });
    validateResultFile({ schema: 'saccade-bench/1', environment, results: [], roofline });
    expect(gpu.stats().liveBytes).toBe(before);
  });

  it('samples the candidates of a peak that has taken long once each', async () => {
    const gpu = await sharedGpu();
    const candidates = [8, 12, 16].map(
      (chains) => () => fmaBenchmark(gpu, { dtype: 'f32', chains, width: 1, invocations: 64, unroll: 8 }),
    );
    const { peaks } = await measureRoofline(gpu, candidates, { signal, repeats: 3, secondsPerPeak: 0 });
    const samples = peaks[0]?.sweep?.map(({ value }) => (value as { n: number }).n);
    expect(samples).toEqual([3, 1, 1]);
  });

  it('has a sweep for devices without f16, subgroups and large workgroups', async () => {
    const gpu = await modestGpu();
    const names = new Set<string>();
    for (const make of fullSweep(gpu)) {
      const benchmark = make();
      names.add(benchmark.name);
      benchmark.dispose();
    }
    const unpacked = quantizedDtypes.map((dtype) => `unpack-${dtype}`);
    const others = ['workgroup-memory', 'dispatch-latency', 'submit-latency'];
    expect([...names]).toEqual(['f32-fma', 'read', 'copy', ...unpacked, ...others]);
  });
});

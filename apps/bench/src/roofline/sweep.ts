import { type Gpu, quantizedDtypes } from '@saccade/core';
import { fmaBenchmark } from './arithmetic.ts';
import { shuffleBenchmark, workgroupMemoryBenchmark } from './exchange.ts';
import { latencyBenchmark } from './latency.ts';
import { memoryBenchmark } from './memory.ts';
import type { Microbenchmark, PeakName } from './microbenchmark.ts';
import { unpackBenchmark } from './unpack.ts';

/** A microbenchmark that is made when its turn comes. */
export type Candidate = () => Microbenchmark;

const mebibyte = 2 ** 20;
const widths = [1, 4] as const;
const chainCounts = [1, 2, 4, 8, 12, 16];
const unrolls = [1, 8];

/** Working sets for which bandwidth is measured. */
export const workingSets = [0.25, 1, 4, 16, 64, 128, 512].map((size) => size * mebibyte);

/** Invocations per workgroup that this device allows. */
function workgroupSizes(gpu: Gpu): number[] {
  return [64, 128, 256].filter((size) => size <= gpu.capabilities.maxInvocations);
}

/** The same for bandwidth. A software adapter runs a workgroup of one subgroup fastest. */
function memoryWorkgroupSizes(gpu: Gpu): number[] {
  const sizes = workgroupSizes(gpu).filter((size) => size !== 128);
  return gpu.capabilities.software ? [8, ...sizes] : sizes;
}

/** Every peak whose name contains `text`, over its whole sweep. */
export function fullSweep(gpu: Gpu, text = ''): Candidate[] {
  const { f16, subgroups } = gpu.capabilities;
  const sizes = workgroupSizes(gpu);
  const memorySizes = memoryWorkgroupSizes(gpu);
  const exchangeSizes = sizes.filter((size) => size !== 128);
  const dtypes = f16 ? (['f32', 'f16'] as const) : (['f32'] as const);
  const exchanges = [1, 4, 8, 16].flatMap((chains) => exchangeSizes.map((invocations) => ({ chains, invocations })));
  const of = (peak: PeakName, candidates: () => Candidate[]) => (peak.includes(text) ? candidates() : []);
  return [
    ...dtypes.flatMap((dtype) =>
      of(`${dtype}-fma`, () =>
        chainCounts.flatMap((chains) =>
          widths.flatMap((width) =>
            unrolls.flatMap((unroll) =>
              sizes.map((invocations) => () => fmaBenchmark(gpu, { dtype, chains, width, invocations, unroll })),
            ),
          ),
        ),
      ),
    ),
    ...(['read', 'copy'] as const).flatMap((name) =>
      of(name, () =>
        workingSets.flatMap((bytes) =>
          widths.flatMap((width) =>
            [1, 4].flatMap((unroll) =>
              memorySizes.map((invocations) => () => memoryBenchmark(gpu, { name, bytes, width, unroll, invocations })),
            ),
          ),
        ),
      ),
    ),
    ...quantizedDtypes.flatMap((dtype) =>
      of(`unpack-${dtype}`, () =>
        [1, 2, 4].map((columns) => () => unpackBenchmark(gpu, { dtype, columns, invocations: sizes[0] as number })),
      ),
    ),
    ...of('workgroup-memory', () => exchanges.map((candidate) => () => workgroupMemoryBenchmark(gpu, candidate))),
    ...(subgroups
      ? of('subgroup-shuffle', () => exchanges.map((candidate) => () => shuffleBenchmark(gpu, candidate)))
      : []),
    ...(['dispatch-latency', 'submit-latency'] as const).flatMap((name) =>
      of(name, () => [() => latencyBenchmark(gpu, name)]),
    ),
  ];
}

/** The multiply-add peak, by the candidates that have won full sweeps so far. */
export function fmaSweep(gpu: Gpu): Candidate[] {
  const invocations = Math.min(64, gpu.capabilities.maxInvocations);
  return [8, 12, 16].map(
    (chains) => () => fmaBenchmark(gpu, { dtype: 'f32', chains, width: 1, invocations, unroll: 8 }),
  );
}

/** The peaks that a scenario compares its kernels with: multiply-adds, and bandwidth over `bytes`. */
export function shortSweep(gpu: Gpu, bytes: number): Candidate[] {
  return [
    ...fmaSweep(gpu),
    ...(['read', 'copy'] as const).flatMap((name) =>
      [1, 4].flatMap((unroll) =>
        memoryWorkgroupSizes(gpu).map(
          (size) => () => memoryBenchmark(gpu, { name, bytes, width: 4, unroll, invocations: size }),
        ),
      ),
    ),
  ];
}

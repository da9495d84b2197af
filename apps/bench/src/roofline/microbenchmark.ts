import type { QuantizedDtype } from '@saccade/core';

/** A kernel that does one thing as often as it can, and how much it does. */
export interface Microbenchmark {
  readonly name: PeakName;
  /** What the whole family of candidates measures. */
  readonly description: string;
  /** This candidate's place in the sweep. */
  readonly parameters: Readonly<Record<string, string | number>>;
  /** Bytes that the kernel goes over again and again, where the peak depends on them. */
  readonly workingSetBytes?: number;
  /** Units of work of one launch; 1 for a latency. */
  readonly work: number;
  /** Records one launch. */
  launch(): void;
  /** Called between launches of a sample; by default nothing, so that they share a submission. */
  between?(): Promise<void> | void;
  dispose(): void;
}

const fixedUnits = {
  'f32-fma': 'flop/s',
  'f16-fma': 'flop/s',
  read: 'byte/s',
  copy: 'byte/s',
  'workgroup-memory': 'byte/s',
  'subgroup-shuffle': 'byte/s',
  'dispatch-latency': 's',
  'submit-latency': 's',
} as const;

export type PeakName = keyof typeof fixedUnits | `unpack-${QuantizedDtype}`;

/** The unit of a peak. Of latencies, in seconds, the lowest counts. */
export function peakUnit(name: PeakName): 'flop/s' | 'byte/s' | 's' {
  return name in fixedUnits ? fixedUnits[name as keyof typeof fixedUnits] : 'flop/s';
}

/** WGSL: `count` lines of `line`, joined. */
export function repeat(count: number, line: (index: number) => string, separator = '\n    '): string {
  return Array.from({ length: count }, (_, index) => line(index)).join(separator);
}

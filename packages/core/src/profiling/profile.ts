import type { ProfileEntry, ProfileSource } from './profiler.ts';

/** Sum over all entries of one name: the dispatches of one kernel, or without timestamps the submissions of one make. */
export interface KernelSummary {
  readonly name: string;
  /** Number of entries. */
  readonly count: number;
  readonly totalMs: number;
  readonly flops: number;
  readonly bytes: number;
}

/** Times of one profiled run: of its dispatches on the GPU, or where the device has no timestamps of its submissions. */
export class Profile {
  readonly entries: readonly ProfileEntry[];
  /** Where the times come from. */
  readonly source: ProfileSource;

  constructor(entries: readonly ProfileEntry[], source: ProfileSource) {
    this.entries = entries;
    this.source = source;
  }

  /** Sum over all entries, in milliseconds: GPU time, or with the source `wall` the time in which the queue had work. */
  get totalMs(): number {
    return this.entries.reduce((sum, entry) => sum + entry.durationNs, 0) / 1e6;
  }

  /** Per kernel, the most expensive first. */
  kernels(): KernelSummary[] {
    const sums = new Map<string, KernelSummary>();
    for (const entry of this.entries) {
      const sum = sums.get(entry.name) ?? { name: entry.name, count: 0, totalMs: 0, flops: 0, bytes: 0 };
      sums.set(entry.name, {
        name: entry.name,
        count: sum.count + 1,
        totalMs: sum.totalMs + entry.durationNs / 1e6,
        flops: sum.flops + entry.flops,
        bytes: sum.bytes + entry.bytes,
      });
    }
    return [...sums.values()].sort((a, b) => b.totalMs - a.totalMs);
  }

  /** The run in Chrome's trace-event format (chrome://tracing, Perfetto): `JSON.stringify` it into a file. */
  toChromeTrace(): { traceEvents: object[] } {
    const origin = Math.min(...this.entries.map((entry) => entry.startNs));
    return {
      traceEvents: this.entries.map((entry) => ({
        name: entry.name,
        ph: 'X',
        pid: 1,
        tid: 1,
        ts: (entry.startNs - origin) / 1e3,
        dur: entry.durationNs / 1e3,
        args: { flops: entry.flops, bytes: entry.bytes },
      })),
    };
  }
}

import type { Tuning } from '../tuning/tuning.ts';

/** What to print or check while ops run. `check` finds NaN and infinity and names the first op that made one. */
export type DebugLevel = 'off' | 'dispatch' | 'wgsl' | 'check';

export interface GpuOptions {
  /** Budget for live tensors, in bytes; beyond it allocations throw `OutOfMemoryError`. Default: no limit. */
  readonly maxBytes?: number;
  /** Most bytes of freed buffers kept for reuse. Default 512 MiB. */
  readonly maxPooledBytes?: number;
  /**
   * Most FLOPs of one dispatch, and of one submission: a launch that declares more is recorded as several dispatches over
   * ranges of its workgroups, with the same result. Keeps a long context from running into the watchdog that resets a GPU
   * after about 2 s. Default: what the slowest device of the adapter's class does in 0.5 s, which is 5e11 (NVIDIA since
   * Ampere), 2.5e11 (other NVIDIA, Apple, Radeon RX and Pro, Arc) or 5e10 (all others); no limit on software adapters. On
   * a device that is known to be faster, more keeps it fuller at very long contexts.
   */
  readonly maxDispatchFlops?: number;
  /**
   * Which kernel variants are fastest here, as `Gpu.tune` measured and `gpu.tuning` tells it. One of another adapter or device is
   * left out of account: `gpu.tuning` is then undefined.
   */
  readonly tuning?: Tuning;
  /** Default `off`. */
  readonly debug?: DebugLevel;
  /** Where debug lines go. Default: `console.error`. */
  readonly log?: (line: string) => void;
  /** For tests: every allocation is filled with NaN, so that reading memory nobody wrote shows. */
  readonly poison?: boolean;
}

/** Counters since the device was opened. */
export interface GpuStats {
  /** Bytes of tensors that are alive. */
  readonly liveBytes: number;
  readonly peakBytes: number;
  /** Bytes of freed buffers that wait for reuse. */
  readonly pooledBytes: number;
  readonly buffersCreated: number;
  readonly bindGroupsCreated: number;
  readonly pipelinesCreated: number;
  readonly dispatches: number;
  readonly submits: number;
  readonly readbacks: number;
}

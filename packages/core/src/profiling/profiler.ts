/** Declared work of a dispatch, from the kernel's cost function. */
export interface KernelTiming {
  readonly flops: number;
  readonly bytes: number;
}

/** One measured dispatch, or one submission where only wall time is known. Starts have an arbitrary origin. */
export interface ProfileEntry extends KernelTiming {
  /** The kernel; of a submission of several dispatches their number and their kernels. */
  readonly name: string;
  readonly startNs: number;
  readonly durationNs: number;
}

/** `timestamps`: GPU time of every dispatch. `wall`: time on the host's clock of every submission. */
export type ProfileSource = 'timestamps' | 'wall';

/** Measures what the recorder records between its making and `finish`. */
export interface Profiler {
  readonly source: ProfileSource;
  /** Before each dispatch. Timestamps make it a pass of its own; undefined leaves it in the pass that is open. */
  begin(name: string, timing: KernelTiming | undefined): GPUComputePassTimestampWrites | undefined;
  /** Once before each submit, with the encoder that is about to be finished. */
  beforeSubmit(encoder: GPUCommandEncoder): void;
  /** Once after each submit. */
  afterSubmit(): void;
  /** Waits until everything submitted has its time. */
  finish(): Promise<readonly ProfileEntry[]>;
  dispose(): void;
}

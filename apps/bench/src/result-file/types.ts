import type { Interval, TimingSummary } from '@saccade/core';

/** A number as results hold it: bare, sampled with its 95% interval, or repeated timings. */
export type Measure = number | Interval | TimingSummary;

/** The closed list of what quality is measured by. */
export const qualityNames = [
  'accuracy',
  'perplexity',
  'relativeError',
  'agreement',
  'klToDense',
  'f1',
  'precision',
  'recall',
  'yesRatio',
  'chairSentence',
  'chairInstance',
  'psnr',
  'ssim',
  'featureDistance',
  'loss',
  'degradation',
  'firstTokenMass',
  'meanGate',
  'words',
] as const;

export type QualityName = (typeof qualityNames)[number];

export type Quality = { readonly [K in QualityName]?: Measure };

/** Milliseconds, always as repeated timings; `speedup`, `shareOfPeak` and `shareOfPredicted` are ratios. */
export interface Speed {
  readonly prefillMs?: TimingSummary;
  readonly decodeMsPerToken?: TimingSummary;
  readonly attentionMs?: TimingSummary;
  /** From the prompt to its first token, with what is compiled on the way. */
  readonly firstTokenMs?: TimingSummary;
  /** JavaScript of one decode step, submission included, with an idle queue. */
  readonly hostMsPerToken?: TimingSummary;
  /** A training step (forward, backward and optimizer), or a denoising step. */
  readonly stepMs?: TimingSummary;
  /** A whole denoising run, from noise or masks to the result on the host. */
  readonly sampleMs?: TimingSummary;
  readonly tokensPerSecond?: Measure;
  /** Time of the `baseline` row divided by this row's: same run, same quantity. */
  readonly speedup?: Measure;
  /** Share of the adapter's measured peak: the larger of its shares of the read and FMA peaks. */
  readonly shareOfPeak?: Measure;
  /** Of the speed-up that a method's own cost model predicts, what was measured. */
  readonly shareOfPredicted?: Measure;
}

/** Bytes of GPU memory. */
export interface Memory {
  readonly peakBytes?: Measure;
  readonly cacheBytes?: Measure;
  /** Of these, bytes of layers that see a window: methods that select tokens do not act there. */
  readonly windowCacheBytes?: Measure;
}

export type RowStatus = 'ok' | 'dense fails' | 'refused' | 'failed';

/** One measurement. */
export interface ResultRow {
  readonly scenario: string;
  /** Null where the scenario runs no model. */
  readonly model: string | null;
  /** The bare slug; the run without a method is `dense`. */
  readonly method: string;
  /** Full options; `contextLength` among them where it matters. */
  readonly options: Readonly<Record<string, unknown>>;
  /** The `method` of the row that this one is compared against; null in that row itself. */
  readonly baseline: string | null;
  readonly seed: number;
  /** How many samples the quality rests on. */
  readonly samples: number;
  /** Share of the context that was asked for; null where the method has no budget. */
  readonly budget: number | null;
  /** Share of the context's keys that was read, measured; null where it was not. */
  readonly density: Measure | null;
  /** The same in layers that see a window, where the model has such: `density` is that of the others then. */
  readonly windowDensity?: Measure;
  readonly status: RowStatus;
  /** Why, unless `status` is `ok`. */
  readonly message?: string;
  readonly quality: Quality;
  readonly speed: Speed;
  readonly memory: Memory;
}

/** Where and with what a file was made. */
export interface Environment {
  /** ISO 8601, UTC. */
  readonly date: string;
  readonly commandLine: string;
  readonly quick: boolean;
  /** One line per thing that `--quick` left out. */
  readonly leftOut: readonly string[];
  /** What a reader must know before the numbers, such as that another model than the usual one was run. */
  readonly notice?: string;
  /** Null where no GPU was opened. */
  readonly adapter: {
    readonly vendor: string;
    readonly architecture: string;
    readonly device: string;
    readonly description: string;
    /** Whether it is a CPU that pretends to be a GPU. */
    readonly software: boolean;
    /** Driver name and version, where the adapter tells. */
    readonly driver: string | null;
    readonly features: readonly string[];
    readonly limits: Readonly<Record<string, number>>;
  } | null;
  /** Version of Node; null where a browser ran it. */
  readonly node: string | null;
  /** What the browser says it is, where one ran it. */
  readonly browser?: string;
  readonly operatingSystem: string;
  readonly cpu: { readonly model: string; readonly cores: number };
  readonly memoryBytes: number;
  /** Versions of the packages that did the work. */
  readonly packages: Readonly<Record<string, string>>;
  /** Commit of the working tree, `+` behind it if files differ; null outside a repository. */
  readonly commit: string | null;
}

/** A peak of the adapter that a kernel of our own reached: the best of a sweep. */
export interface RooflinePeak {
  /** Such as `f32-fma`, `read`, `copy`, `dispatch-latency`. */
  readonly name: string;
  readonly description: string;
  /** Of a latency, in seconds, the lowest value is the peak. */
  readonly unit: 'flop/s' | 'byte/s' | 's';
  /** Bytes that the kernel goes over, where the peak depends on them. */
  readonly workingSetBytes?: number;
  readonly value: Measure;
  /** What the processor behind a software adapter could do, and how the figure comes about. */
  readonly theoretical?: { readonly value: number; readonly assumption: string };
  readonly sweep?: readonly {
    readonly parameters: Readonly<Record<string, string | number>>;
    readonly value: Measure;
  }[];
}

export interface Roofline {
  readonly peaks: readonly RooflinePeak[];
}

/** The same work in another engine and in this project, on the same adapter in one run. */
export interface PeerRow {
  /** Begins with its kind: `attention causal`, `attention other`, `matmul f32`, `matmul quantized`, `convolution`, `model` or `training step`. */
  readonly work: string;
  readonly peer: string;
  readonly peerMs: TimingSummary;
  readonly oursMs: TimingSummary;
  /** peerMs / oursMs, of the medians. */
  readonly ratio: number;
  /**
   * Largest absolute difference from the f64 reference over the largest reference value; null for a whole model. Of a training step the
   * largest relative difference of its first losses from ours.
   */
  readonly peerError: number | null;
  readonly oursError: number | null;
  /** Of whole models: the share of greedy tokens that are the same. */
  readonly agreement?: number;
  /** False for an outside reference that does not run on the adapter. */
  readonly judged: boolean;
  /** What the peer's times include that ours do not. */
  readonly remark?: string;
}

/** A work that an engine refused, failed at, or did not end in the time that it was given. */
export interface UnmeasuredPeer {
  /** As of {@link PeerRow}. */
  readonly work: string;
  readonly peer: string;
  readonly status: 'timed out' | 'refused';
  readonly reason: string;
}

/** A matrix as a picture: how alike layers are, or where queries look. */
export interface Heatmap {
  readonly scenario: string;
  readonly model: string | null;
  readonly title: string;
  readonly caption: string;
  /** What columns and rows count. */
  readonly xLabel: string;
  readonly yLabel: string;
  /** Row by row, from 0 to 1; null where there is nothing. */
  readonly values: readonly (readonly (number | null)[])[];
  /** Cells that are outlined: [row, column]. */
  readonly marks: readonly (readonly [number, number])[];
}

/** Generated images side by side: a row per prompt or class, a column per method. */
export interface ImageGrid {
  readonly scenario: string;
  readonly model: string | null;
  readonly title: string;
  readonly caption: string;
  readonly columns: readonly string[];
  readonly rows: readonly string[];
  /** The whole grid as a PNG file, in base64. */
  readonly png: string;
}

export type Picture = Heatmap | ImageGrid;

/** A result file, `saccade-bench/1`. */
export interface ResultFile {
  readonly schema: 'saccade-bench/1';
  readonly environment: Environment;
  readonly results: readonly ResultRow[];
  readonly roofline?: Roofline;
  readonly peers?: readonly PeerRow[];
  readonly unmeasuredPeers?: readonly UnmeasuredPeer[];
  readonly pictures?: readonly Picture[];
}

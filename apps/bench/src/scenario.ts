import type { Gpu, Method, ModelHandle, Phase } from '@saccade/core';
import type { AnswerImage, MethodEntry } from './method-entry.ts';
import type { ModelFamily } from './model-entry.ts';
import type { Picture, ResultRow, Speed } from './result-file/types.ts';
import type { ClaimedShare } from './roofline/peaks.ts';

/** A setting in a full run and in one with `--quick`. */
export interface FullAndQuick<T> {
  readonly full: T;
  readonly quick: T;
}

/** A task that gives rows: a model (or the bare engine) x method x budget x length. */
export interface Scenario {
  /** `family/task`. */
  readonly name: string;
  readonly title: string;
  /** Two sentences for a reader of the report: what is done and what the numbers mean. */
  readonly description: string;
  /** Whether it runs a model, and of which family; `none` measures the engine alone. */
  readonly needs: ModelFamily | 'none';
  /** A method fits if it changes one of these. */
  readonly phases: readonly Phase[];
  /** Methods that make sense in this scenario only; found by `--method` there. */
  readonly ownMethods?: readonly MethodEntry[];
  /** Options that name a line of a chart; default: all that differ between rows of equal budget and length. */
  readonly telling?: readonly string[];
  /** Context lengths, in tokens. */
  readonly lengths: FullAndQuick<readonly number[]>;
  /** Shares of the context that methods with a budget may read. */
  readonly budgets: FullAndQuick<readonly number[]>;
  /** How often a thing is repeated; what a repeat is, the scenario says in its description. */
  readonly repeats: FullAndQuick<number>;
  /** Yields each row as soon as it is known. */
  run(context: ScenarioContext): AsyncIterable<ResultRow>;
}

/** A method with its options at one budget and context length. */
export interface Variant {
  readonly entry: MethodEntry;
  /** Full options, `contextLength` not among them. */
  readonly options: Readonly<Record<string, unknown>>;
  /** What was asked for: a share in (0, 1], or null where the method has no budget or its options were given directly. */
  readonly budget: number | null;
  /** A fresh method value; undefined for the dense run and for procedures. */
  create(): Method | undefined;
  /** Of a procedure around a model that sees: how it answers. */
  readonly answer?: AnswerImage;
}

/** Everything that a scenario fills in; the rest of the row is the harness's. */
export type Measured = Pick<ResultRow, 'quality' | 'memory' | 'density' | 'windowDensity' | 'samples'> & {
  readonly speed: Omit<Speed, 'shareOfPeak'>;
  /** What becomes the speed's `shareOfPeak`, after the harness has refused what cannot be. */
  readonly peak?: ClaimedShare;
  readonly status?: 'ok' | 'dense fails';
  readonly message?: string;
};

/** What a scenario gets from the harness. */
export interface ScenarioContext {
  readonly gpu: Gpu;
  readonly lengths: readonly number[];
  /** Shares of the context; `variants` has applied them already. */
  readonly budgets: readonly number[];
  readonly seed: number;
  readonly repeats: number;
  readonly quick: boolean;
  readonly signal: AbortSignal;
  readonly progress: ScenarioProgress;
  /** The loaded model. @throws SaccadeError in a scenario that needs none. */
  readonly model: ModelHandle;
  /**
   * What to measure at one context length, the dense run first: each chosen method at each budget. `grid` says how many tokens lie along
   * each axis, where they lie on a grid.
   *
   * @throws OptionError if a schema refuses the options at a length other than those of `lengths`, which were checked.
   */
  variants(contextLength: number, grid?: readonly number[]): readonly Variant[];
  /**
   * Runs one measurement and makes its row. An error becomes a row: `refused` where the method or the model refuses,
   * else `failed` with the message. An abort is passed on.
   *
   * @param extra further entries of the row's `options`, such as `contextLength` where it matters.
   */
  measure(variant: Variant, extra: Readonly<Record<string, unknown>>, run: () => Promise<Measured>): Promise<ResultRow>;
  /** Adds a picture to the report. */
  picture(picture: PictureOf<Picture>): void;
}

/** A picture without what the harness fills in, of each kind. */
type PictureOf<Kind> = Kind extends unknown ? Omit<Kind, 'scenario' | 'model'> : never;

/** Progress of a scenario. */
export interface ScenarioProgress {
  /** Says how many steps there will be. */
  total(steps: number): void;
  /** One step is done (or a part of one); `label` says what is done next. */
  advance(steps?: number, label?: string): void;
}

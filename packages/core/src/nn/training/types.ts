import type { Value } from '../../autodiff/index.ts';
import type { Module } from '../module.ts';
import type { Ema } from '../optim/ema.ts';
import type { Optimizer } from '../optim/optimizer.ts';
import type { Schedule } from '../optim/schedules.ts';
import type { CheckpointStore } from './checkpoint-store.ts';

/** Which batch a loss is for. */
export interface BatchPlace {
  /** From 0. */
  readonly step: number;
  /** Among the batches whose gradients are added up to a step, from 0. */
  readonly part: number;
}

export interface TrainOptions {
  readonly module: Module;
  readonly optimizer: Optimizer;
  /** Steps of the whole run, those before a resumed checkpoint included. */
  readonly steps: number;
  /**
   * The loss of a batch, f32 []. Runs in a scope: what it makes, the batch too, is freed. It must be a function of the parameters and the
   * place alone, so that a resumed run goes on with the same numbers; it may run again to find out what went wrong.
   */
  readonly loss: (place: BatchPlace) => Value;
  /** Batches whose gradients are averaged into one step. Default 1. */
  readonly accumulate?: number;
  /** Most that the global norm of the gradients may be. Default: no limit. */
  readonly clip?: number;
  /** Factor on the learning rates, by step. Default 1. */
  readonly schedule?: Schedule;
  /** Updated after each step; part of the checkpoint. */
  readonly ema?: Ema;
  /** Multiplies the loss, so that gradients in f16 neither vanish nor overflow. Default: none. */
  readonly lossScaling?: LossScaling;
  /** Tokens, images or whatever of a step, for the throughput. */
  readonly itemsPerStep?: number;
  /** Steps between two waits for the GPU, at which losses are read and reported. Default 10. */
  readonly reportEvery?: number;
  /** A measure beside the loss, such as the loss of held-out data, after every `every` steps and at the end. */
  readonly evaluate?: { readonly every: number; readonly run: (step: number) => Promise<number> };
  /** Where the run is kept, after every `every` steps (default: 500), when it is aborted, and at the end. A run that is there already goes on. */
  readonly checkpoint?: { readonly store: CheckpointStore; readonly every?: number };
  /** Gets a line of JSON, without its end, per step: a {@link TrainingEntry}. */
  readonly log?: (line: string) => void;
  readonly onProgress?: (progress: TrainingProgress) => void;
  readonly onWarning?: (line: string) => void;
  /** Stops before the next step, after the checkpoint has been written; `train` then throws the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Dynamic loss scaling (Micikevicius et al., "Mixed precision training", 2018, section 3.2). */
export interface LossScaling {
  /** Default 65,536. */
  readonly initial?: number;
  /** Steps without overflow after which the scale doubles; at an overflow it halves and the step is skipped. Default 2,000. */
  readonly growthInterval?: number;
}

/** What the log says of a step. */
export interface TrainingEntry {
  /** From 0. */
  readonly step: number;
  /** Mean over the step's batches. */
  readonly loss: number;
  /** Global norm of the gradients before clipping; null where the step was skipped. */
  readonly gradientNorm: number | null;
  /** Factor on the learning rates. */
  readonly rate: number;
  /** With loss scaling. */
  readonly lossScale?: number;
  /** Whether scaled gradients overflowed, so that nothing was changed. */
  readonly skipped?: true;
  /** What `evaluate` gave after this step. */
  readonly evaluation?: number;
  /** Since the call of `train`. */
  readonly seconds: number;
}

export interface TrainingProgress {
  /** Steps that are done. */
  readonly done: number;
  readonly steps: number;
  /** Of the last step. */
  readonly loss: number;
  /** Over the steps since the last report. */
  readonly secondsPerStep: number;
  /** With `itemsPerStep`. */
  readonly itemsPerSecond?: number;
  readonly secondsLeft: number;
}

export interface TrainingResult {
  /** The step that the run began at: above 0 where it was resumed. */
  readonly firstStep: number;
  /** Of the steps of this call, in their order. */
  readonly entries: readonly TrainingEntry[];
}

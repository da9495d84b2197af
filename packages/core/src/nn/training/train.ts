import { multiply, stopGradient, type Value } from '../../autodiff/index.ts';
import type { Gpu } from '../../device/gpu.ts';
import { ArgumentError, DivergedError } from '../../errors.ts';
import { add, scale } from '../../ops/elementwise.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { loadCheckpoint, saveCheckpoint, type TrainingState } from '../checkpoint.ts';
import { type Gradients, moduleGradients } from '../module-gradients.ts';
import { accumulateGradients } from '../optim/gradients.ts';
import { findNonFinite } from './find-non-finite.ts';
import { readReports, StepControl } from './step-control.ts';
import type { TrainingEntry, TrainingResult, TrainOptions } from './types.ts';

/**
 * Trains a module: gradients, clipping, the optimizer's step and averages, with progress, a log and checkpoints. Steps are recorded
 * ahead and nothing waits for the GPU between two reports. Where a loss or gradient is NaN or infinite, the parameters stay as they were
 * before that step, also for the steps that were recorded already.
 *
 * A resumed run has the losses of an uninterrupted one to the last bit on the same adapter, as long as `loss` depends on nothing
 * but its place and the parameters.
 *
 * @throws DivergedError at the report after a loss or gradient that is NaN or infinite; the signal's reason; ArgumentError for options
 *   out of their range; what `loss`, `loadCheckpoint` and the store throw
 */
export async function train(options: TrainOptions): Promise<TrainingResult> {
  check(options);
  const [parameter] = options.module.parameters().values();
  if (!parameter) throw new ArgumentError('train: module', 'no parameter', 'one to train');
  const { initial = 65_536, growthInterval = 2000 } = options.lossScaling ?? {};
  const control = new StepControl(parameter.tensor.gpu, {
    clip: options.clip ?? 0,
    scaling: options.lossScaling && { scale: initial, growthInterval },
  });
  try {
    return await new Run(options, parameter.tensor.gpu, control).toEnd();
  } finally {
    control.dispose();
  }
}

/** One call of {@link train}. */
class Run {
  readonly #options: TrainOptions;
  readonly #gpu: Gpu;
  readonly #control: StepControl;
  readonly #state: TrainingState;
  readonly #started = performance.now();
  readonly #entries: TrainingEntry[] = [];
  /** Reports of steps that have not been read yet, latest last. */
  #reports: Tensor[] = [];
  #lastReport = performance.now();
  /** Steps that are recorded or done. */
  #done = 0;

  constructor(options: TrainOptions, gpu: Gpu, control: StepControl) {
    this.#options = options;
    this.#gpu = gpu;
    this.#control = control;
    const averages = [...(options.ema?.stateDict() ?? [])].map(([name, tensor]) => [`ema.${name}`, tensor] as const);
    const tensors = new Map<string, Tensor>([...averages, ['step_control', control.state]]);
    this.#state = { module: options.module, optimizer: options.optimizer, tensors };
  }

  async toEnd(): Promise<TrainingResult> {
    const { steps, signal, reportEvery = 10, evaluate, checkpoint } = this.#options;
    const firstStep = await this.#resume();
    try {
      for (this.#done = firstStep; this.#done < steps; ) {
        if (signal?.aborted) return await this.#abort(signal);
        this.#recordStep(this.#done++);
        const due = (every: number | undefined) => every !== undefined && this.#done % every === 0;
        const last = this.#done === steps;
        const [evaluates, saves] = [
          evaluate && (last || due(evaluate.every)),
          due(checkpoint && (checkpoint.every ?? 500)),
        ];
        if (last || evaluates || saves || this.#reports.length >= reportEvery) await this.#report(evaluates);
        if (checkpoint && (last || saves)) await this.#save();
      }
      return { firstStep, entries: this.#entries };
    } finally {
      for (const report of this.#reports) report.dispose();
    }
  }

  /** The step to begin at. */
  async #resume(): Promise<number> {
    const { checkpoint, onWarning } = this.#options;
    const saved = await checkpoint?.store.read();
    return saved ? loadCheckpoint(saved, this.#state, onWarning ? { onWarning } : {}) : 0;
  }

  async #save(): Promise<void> {
    await this.#options.checkpoint?.store.write(await saveCheckpoint(this.#state, this.#done));
  }

  async #abort(signal: AbortSignal): Promise<never> {
    if (this.#reports.length > 0) await this.#report(false);
    await this.#save();
    throw signal.reason;
  }

  #recordStep(step: number): void {
    const { optimizer, ema } = this.#options;
    const gpu = this.#gpu;
    const report = gpu.tidy(() => {
      const { loss, gradients } = this.#gradients(step);
      const decision = this.#control.decide(loss, gradients);
      optimizer.step(gradients, this.#rate(step), decision.control);
      ema?.update();
      return decision.report;
    });
    this.#reports.push(gpu.keep(report));
    gpu.flush();
  }

  /** The mean loss of the step's batches, and the gradients of that mean times the loss scale. In a scope. */
  #gradients(step: number): { loss: Tensor; gradients: Gradients } {
    const { module, accumulate = 1 } = this.#options;
    let total: Gradients | undefined;
    let mean: Tensor | undefined;
    for (let part = 0; part < accumulate; part++) {
      const found = this.#gpu.tidy(() => {
        const own: { loss?: Tensor } = {};
        const { gradients } = moduleGradients(module, () => {
          const loss = this.#options.loss({ step, part });
          own.loss = this.#gpu.keep(stopGradient(loss).alias());
          return this.#scaled(loss);
        });
        const loss = scale((own.loss as Tensor).reshape([]), 1 / accumulate);
        own.loss?.dispose();
        return { loss, gradients };
      });
      mean = mean ? add(mean, found.loss) : found.loss;
      total = accumulate === 1 ? found.gradients : accumulateGradients(total, found.gradients, 1 / accumulate);
      if (accumulate > 1) for (const gradient of Object.values(found.gradients)) gradient.dispose();
    }
    return { loss: mean as Tensor, gradients: total as Gradients };
  }

  #scaled(loss: Value): Value {
    return this.#options.lossScaling ? multiply(loss, this.#control.lossScale) : loss;
  }

  #rate(step: number): number {
    return this.#options.schedule?.(step) ?? 1;
  }

  /** Waits for the steps that are recorded and tells of them. */
  async #report(evaluates: boolean | undefined): Promise<void> {
    const { log, onProgress, lossScaling, evaluate, steps, itemsPerStep } = this.#options;
    const reports = this.#reports;
    this.#reports = [];
    const found = await readReports(reports).finally(() => {
      for (const report of reports) report.dispose();
    });
    const first = this.#done - found.length;
    const failed = found.findIndex(({ outcome }) => outcome === 'failed');
    if (failed >= 0) throw await this.#diverged(first + failed, (found[failed] as { loss: number }).loss);
    const evaluation = evaluates ? await evaluate?.run(this.#done - 1) : undefined;
    const now = performance.now();
    const seconds = (now - this.#started) / 1000;
    found.forEach(({ loss, gradientNorm, lossScale, outcome }, index) => {
      const step = first + index;
      const entry: TrainingEntry = {
        step,
        loss,
        gradientNorm: outcome === 'skipped' ? null : gradientNorm,
        rate: this.#rate(step),
        ...(lossScaling ? { lossScale } : {}),
        ...(outcome === 'skipped' ? { skipped: true } : {}),
        ...(evaluation !== undefined && index === found.length - 1 ? { evaluation } : {}),
        seconds,
      };
      this.#entries.push(entry);
      log?.(JSON.stringify(entry));
    });
    const secondsPerStep = (now - this.#lastReport) / 1000 / found.length;
    this.#lastReport = now;
    onProgress?.({
      done: this.#done,
      steps,
      loss: (found.at(-1) as { loss: number }).loss,
      secondsPerStep,
      ...(itemsPerStep === undefined ? {} : { itemsPerSecond: itemsPerStep / secondsPerStep }),
      secondsLeft: (steps - this.#done) * secondsPerStep,
    });
  }

  /** Runs the step's passes again, with the parameters as they were, to find the tensor. */
  async #diverged(step: number, loss: number): Promise<DivergedError> {
    const { module, accumulate = 1 } = this.#options;
    const losses = Array.from(
      { length: accumulate },
      (_, part) => () => this.#scaled(this.#options.loss({ step, part })),
    );
    const found = await findNonFinite(module, losses);
    return new DivergedError(step, found ?? (Number.isFinite(loss) ? 'the norm of the gradients' : 'the loss'));
  }
}

function check(options: TrainOptions): void {
  const { steps, accumulate = 1, clip, reportEvery = 10, evaluate, checkpoint, lossScaling } = options;
  const counts = {
    steps,
    accumulate,
    reportEvery,
    'evaluate.every': evaluate?.every ?? 1,
    'checkpoint.every': checkpoint?.every ?? 1,
    'lossScaling.growthInterval': lossScaling?.growthInterval ?? 1,
  };
  for (const [name, value] of Object.entries(counts)) {
    if (!(Number.isSafeInteger(value) && value >= 1))
      throw new ArgumentError(`train: ${name}`, value, 'an integer of 1 or more');
  }
  const { initial = 1 } = lossScaling ?? {};
  if (!(initial >= 1 && initial <= 2 ** 24))
    throw new ArgumentError('train: lossScaling.initial', initial, '1 to 2^24');
  if (clip !== undefined && !(Number.isFinite(clip) && clip > 0))
    throw new ArgumentError('train: clip', clip, 'a number above 0');
}

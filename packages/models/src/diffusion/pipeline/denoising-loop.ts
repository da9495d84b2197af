import {
  add,
  concatenate,
  contiguous,
  type DenoisingStage,
  type DenoisingStep,
  type Gpu,
  interpolate,
  type MethodRun,
  type ModelHandle,
  randomNormal,
  scale,
  type Tensor,
} from '@saccade/core';
import type { DiffusionModel } from '../model/diffusion-model.ts';
import type { Condition, SampleSize } from '../networks/denoising-network.ts';
import { applyStep, weightedSum } from '../schedulers/apply-step.ts';
import type { SolverStep } from '../schedulers/solver-step.ts';
import type { RunConditions } from './conditions.ts';
import type { StepEvent } from './generate-options.ts';

/** A stage as it is run. */
export interface PlannedStage {
  readonly stage: DenoisingStage;
  /** In elements of the sample. */
  readonly size: SampleSize;
  /** Those that are run. */
  readonly steps: readonly SolverStep[];
  readonly guidance: number;
  /** Pixels of the image. */
  readonly imageSize: { readonly height: number; readonly width: number };
}

export interface LoopInput {
  readonly model: DiffusionModel;
  /** As methods see it. */
  readonly handle: ModelHandle;
  readonly run: MethodRun;
  readonly stages: readonly PlannedStage[];
  readonly conditions: RunConditions;
  readonly signal: AbortSignal | undefined;
  readonly afterStep: (event: Omit<StepEvent, 'preview'>) => Promise<void>;
}

/** First random sequence of the noise that steps add; stages begin with those of their number. */
const firstStepStream = 1 << 16;

/**
 * Denoises from noise to the last step's sample, stage by stage.
 * @returns The clean sample; the caller disposes it.
 */
export async function denoise(input: LoopInput): Promise<Tensor> {
  const loop = new DenoisingLoop(input);
  try {
    for (const [number, stage] of input.stages.entries()) await loop.stage(stage, number);
    return loop.result();
  } finally {
    loop.dispose();
  }
}

class DenoisingLoop {
  readonly #input: LoopInput;
  readonly #gpu: Gpu;
  readonly #count: number;
  #index = 0;
  #sample: Tensor | undefined;
  #clean: Tensor | undefined;

  constructor(input: LoopInput) {
    this.#input = input;
    this.#gpu = input.model.gpu;
    this.#count = input.stages.reduce((sum, { steps }) => sum + steps.length, 0);
  }

  async stage(stage: PlannedStage, number: number): Promise<void> {
    const { run, handle, model, signal, afterStep } = this.#input;
    if (stage.steps.length === 0) return;
    this.#begin(stage, number);
    run.tokenGrid = model.network.grid(stage.size, run.tokenGrid?.textTokens);
    for (const solverStep of stage.steps) {
      signal?.throwIfAborted();
      const step: DenoisingStep = {
        index: this.#index,
        count: this.#count,
        stage: number,
        timestep: solverStep.timestep,
      };
      if (this.#index > 0) {
        await run.step({ phase: 'denoise', gpu: this.#gpu, model: handle, step, sample: this.#sample as Tensor });
      }
      run.denoisingStep = step;
      this.#advance(stage, solverStep);
      // Waiting bounds the queue, so that progress and aborts mean something.
      await this.#gpu.synchronize();
      signal?.throwIfAborted();
      await afterStep({ step, sample: this.#sample as Tensor, clean: this.#clean as Tensor });
      this.#index++;
    }
  }

  /** What the last step left; it is the caller's then. */
  result(): Tensor {
    const sample = this.#sample as Tensor;
    this.#sample = undefined;
    return sample;
  }

  dispose(): void {
    this.#replace(undefined, undefined);
  }

  /** The sample that a stage begins with: noise, or the clean estimate of the stage before, resized and noised again. */
  #begin({ stage, size, steps }: PlannedStage, number: number): void {
    const { model, conditions, run } = this.#input;
    const { frames, height, width } = size;
    const { level } = steps[0] as SolverStep;
    const shape = [
      conditions.samples,
      ...(frames === undefined ? [] : [frames]),
      model.network.inChannels,
      height,
      width,
    ];
    const before = this.#clean;
    const sample = this.#gpu.tidy(() => {
      const noise = randomNormal(this.#gpu, shape, { seed: run.seed, stream: number });
      if (!before) return noise;
      const resized = resizeImages(before, shape, stage.resize ?? bilinear);
      return weightedSum([
        [resized, level.signal],
        [noise, level.noise],
      ]);
    });
    this.#replace(sample, undefined);
  }

  #advance(stage: PlannedStage, step: SolverStep): void {
    const sample = this.#sample as Tensor;
    const { next, clean } = this.#gpu.tidy(() =>
      applyStep(step, {
        sample,
        prediction: this.#predict(stage, step, sample),
        previousClean: this.#clean,
        noise: () =>
          randomNormal(this.#gpu, sample.shape, {
            seed: this.#input.run.seed,
            stream: firstStepStream + this.#index,
          }),
      }),
    );
    this.#replace(next, clean);
  }

  /** What the network predicts under guidance, in the sample's shape: a variance that it learned is left out. */
  #predict({ guidance, imageSize }: PlannedStage, { timestep }: SolverStep, sample: Tensor): Tensor {
    const { model, run, conditions } = this.#input;
    const predict = (input: Tensor, condition: Condition) => {
      const output = model.predict(input, { timestep, condition: { ...condition, imageSize }, run });
      const { inChannels, outChannels } = model.network;
      const axis = sample.rank - 3;
      return inChannels === outChannels ? output : output.slice(axis, 0, inChannels);
    };
    if (guidance === 1 || !conditions.guided) return predict(sample, conditions.plain);
    const both = predict(concatenate([sample, sample]), conditions.guided);
    const samples = conditions.samples;
    const [given, none] = [both.slice(0, 0, samples), both.slice(0, samples, 2 * samples)];
    return add(scale(given, guidance), scale(none, 1 - guidance));
  }

  #replace(sample: Tensor | undefined, clean: Tensor | undefined): void {
    if (sample) this.#gpu.keep(sample);
    if (clean) this.#gpu.keep(clean);
    this.#sample?.dispose();
    this.#clean?.dispose();
    this.#sample = sample;
    this.#clean = clean;
  }
}

/** Samples at another size, frame by frame. */
function resizeImages(clean: Tensor, shape: readonly number[], resize: NonNullable<DenoisingStage['resize']>): Tensor {
  const [channels, height, width] = shape.slice(-3) as [number, number, number];
  if (clean.shape.join() === shape.join()) return clean;
  const images = clean.reshape([-1, channels, ...clean.shape.slice(-2)]);
  return contiguous(resize(images, { height, width })).reshape(shape);
}

const bilinear: NonNullable<DenoisingStage['resize']> = (images, { height, width }) =>
  interpolate(images, { size: [height, width] });

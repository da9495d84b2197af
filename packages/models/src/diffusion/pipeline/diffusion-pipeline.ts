import {
  ArgumentError,
  type DenoisingSchedule,
  type DenoisingStage,
  DisposedError,
  type Gpu,
  MethodRun,
  type ModelFacts,
  RefusedError,
  type Tensor,
} from '@saccade/core';
import type { ModelLicence } from '../../resolve/licence.ts';
import type { ImageDecoder } from '../autoencoder/image-decoder.ts';
import type { DiffusionModel } from '../model/diffusion-model.ts';
import { planSteps } from '../schedulers/plan-steps.ts';
import type { SchedulerConfig, SolverName } from '../schedulers/scheduler-config.ts';
import { runConditions } from './conditions.ts';
import { denoise, type PlannedStage } from './denoising-loop.ts';
import { checkGuidance, type DiffusionGenerateOptions, resolveOptions, type StepEvent } from './generate-options.ts';
import { GeneratedImages } from './generated-images.ts';
import { makeImages, readRgba } from './images.ts';
import { RunModel } from './run-model.ts';

/** Share of the progress that decoding takes. */
const decodingShare = 0.1;

export interface PipelineParts {
  readonly model: DiffusionModel;
  /** Undefined where samples are pixels, or where nothing can decode them. */
  readonly decoder: ImageDecoder | undefined;
  readonly scheduler: SchedulerConfig;
  readonly licence?: ModelLicence | undefined;
}

/** A diffusion transformer with its scheduler and, where it has one, the decoder of its autoencoder. Made by {@link loadDiffusionModel}. */
export class DiffusionPipeline {
  readonly gpu: Gpu;
  readonly model: DiffusionModel;
  readonly decoder: ImageDecoder | undefined;
  readonly scheduler: SchedulerConfig;
  /** The licence that the weights come under, where it is known. */
  readonly licence: ModelLicence | undefined;
  #disposed = false;

  constructor({ model, decoder, scheduler, licence }: PipelineParts) {
    this.gpu = model.gpu;
    this.model = model;
    this.decoder = decoder;
    this.scheduler = scheduler;
    this.licence = licence;
  }

  get facts(): ModelFacts {
    return this.model.facts;
  }

  /** Whether results have images: where samples are pixels, or a decoder makes such of them. */
  get makesImages(): boolean {
    const { inChannels, sampleSize } = this.model.network;
    return sampleSize.frames === undefined && (this.decoder !== undefined || inChannels === 3 || inChannels === 1);
  }

  /**
   * Denoises images or a video.
   * @throws ArgumentError, RefusedError for a method that does not fit, the signal's reason when it is aborted, OutOfMemoryError
   */
  async generate(options: DiffusionGenerateOptions): Promise<GeneratedImages> {
    if (this.#disposed) throw new DisposedError(`The pipeline of ${this.facts.name}`);
    const { steps, guidance, eta, seed, scheduler } = resolveOptions(options);
    const { method, signal, onProgress, onStep, observe, edit } = options;
    signal?.throwIfAborted();
    const solver = this.#solver(scheduler);
    const first = this.#firstStage(options, steps, guidance);
    const tokenGrid = this.model.network.grid(this.#sampleSize(first), captionTokens(options));
    const handle = new RunModel(this.model, { denoisingSteps: steps, tokenGrid });
    const run = await MethodRun.start(handle, method, { seed, signal, observe, edit });
    try {
      const stages = this.#plan(run.schedule({ stages: [first] }), solver, eta);
      const guided = stages.some((stage) => stage.guidance !== 1);
      const conditions = runConditions(this.gpu, this.model.network.conditioning, options, guided);
      try {
        const total = stages.reduce((sum, stage) => sum + stage.steps.length, 0);
        const share = this.makesImages && this.decoder ? 1 - decodingShare : 1;
        const latents = await denoise({
          model: this.model,
          handle,
          run,
          stages,
          conditions,
          signal,
          afterStep: async (event) => {
            onProgress?.((share * (event.step.index + 1)) / total);
            await onStep?.({ ...event, preview: (index) => this.#preview(event, index) });
          },
        });
        const result = await this.#finish(latents, signal);
        if (share < 1) onProgress?.(1);
        return result;
      } finally {
        conditions.dispose();
      }
    } finally {
      run.dispose();
    }
  }

  /** Frees the weights. Idempotent. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.model.dispose();
    this.decoder?.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Pixels per element of the sample. */
  get #factor(): number {
    if (this.decoder) return this.decoder.factor;
    // Those of the autoencoders that the networks were trained with.
    return this.makesImages ? 1 : 8;
  }

  #solver(asked: SolverName | undefined): SolverName {
    const solver = asked ?? this.scheduler.solver;
    if (solver) return solver;
    throw new RefusedError(
      `${this.facts.name} asks for ${this.scheduler.className}, which is not implemented; choose another with the option scheduler, such as 'ddim'.`,
    );
  }

  /** The run as the options describe it, in one stage. */
  #firstStage(options: DiffusionGenerateOptions, steps: number, guidance: number): DenoisingStage {
    const { height, width, frames } = this.model.network.sampleSize;
    if (options.frames !== undefined && frames === undefined) {
      throw new ArgumentError('frames', options.frames, 'none, since the network makes images');
    }
    const count = options.frames ?? frames;
    if (count !== undefined && !(Number.isInteger(count) && count >= 1)) {
      throw new ArgumentError('frames', count, 'an integer of 1 or more');
    }
    return {
      steps,
      height: options.height ?? this.#factor * height,
      width: options.width ?? this.#factor * width,
      ...(count === undefined ? {} : { frames: count }),
      guidanceScale: guidance,
    };
  }

  #plan({ stages }: DenoisingSchedule, solver: SolverName, eta: number): PlannedStage[] {
    if (stages.length === 0) throw new ArgumentError('schedule: stages', stages, 'at least one');
    return stages.map((stage, index) => {
      const { steps, strength = 1, guidanceScale = 1, shift, noiseLevels, height, width, frames } = stage;
      if (!(strength >= 0 && strength <= 1) || (index === 0 && strength !== 1)) {
        throw new ArgumentError(
          'schedule: strength',
          strength,
          index === 0 ? '1 in the first stage' : 'a number from 0 to 1',
        );
      }
      if (frames !== stages[0]?.frames) throw new ArgumentError('schedule: frames', frames, 'the same in all stages');
      checkGuidance(guidanceScale);
      const all = planSteps(solver, this.scheduler, { steps, eta, shift, noiseLevels });
      const start = Math.floor(all.length - Math.min(all.length * strength, all.length));
      const size = this.#sampleSize(stage);
      this.model.network.grid(size);
      return { stage, size, steps: all.slice(start), guidance: guidanceScale, imageSize: { height, width } };
    });
  }

  /** @throws ArgumentError where pixels do not divide into elements */
  #sampleSize({ height, width, frames }: DenoisingStage): { height: number; width: number; frames?: number } {
    const factor = this.#factor;
    for (const [name, size] of Object.entries({ height, width })) {
      if (!(Number.isInteger(size) && size > 0 && size % factor === 0)) {
        throw new ArgumentError(name, size, `a multiple of ${factor} pixels`);
      }
    }
    return { ...(frames === undefined ? {} : { frames }), height: height / factor, width: width / factor };
  }

  async #finish(latents: Tensor, signal: AbortSignal | undefined): Promise<GeneratedImages> {
    try {
      const images = this.makesImages ? this.gpu.keep(makeImages(this, latents)) : undefined;
      const result = new GeneratedImages(latents, images);
      try {
        await this.gpu.synchronize();
        signal?.throwIfAborted();
        return result;
      } catch (error) {
        images?.dispose();
        throw error;
      }
    } catch (error) {
      latents.dispose();
      throw error;
    }
  }

  async #preview({ clean }: Omit<StepEvent, 'preview'>, index = 0): Promise<Awaited<ReturnType<typeof readRgba>>> {
    if (!this.makesImages) throw new RefusedError(`Nothing here decodes the samples of ${this.facts.name}.`);
    const count = clean.shape[0] as number;
    if (!(Number.isInteger(index) && index >= 0 && index < count)) {
      throw new ArgumentError('preview: index', index, `0 to ${count - 1}`);
    }
    const image = this.gpu.keep(this.gpu.tidy(() => makeImages(this, clean.slice(0, index, index + 1))));
    try {
      return await readRgba(this.gpu, image, 0);
    } finally {
      image.dispose();
    }
  }
}

/** Tokens of the captions that are given, which count where they stand in the sequence. */
function captionTokens({ captionEmbeddings }: DiffusionGenerateOptions): number | undefined {
  const [first] = captionEmbeddings === undefined ? [] : [captionEmbeddings].flat();
  return first?.shape?.[0];
}

import { type ActivationHooks, ArgumentError, type DenoisingStep, type Method, type Tensor } from '@saccade/core';
import { type SolverName, solverNames } from '../schedulers/scheduler-config.ts';

/** An image for people: RGBA, row by row, 4 bytes each. */
export interface RgbaImage {
  readonly data: Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
}

/** A step that has been made. */
export interface StepEvent {
  readonly step: DenoisingStep;
  /** What the next step begins with: f32 [images, C, height, width], of videos [videos, frames, C, height, width]. Lives until the callback ends. */
  readonly sample: Tensor;
  /** The step's estimate of the clean sample, in the same shape. */
  readonly clean: Tensor;
  /** Decodes the clean estimate of an image, the first by default. Costs a run of the decoder and a readback. */
  preview(index?: number): Promise<RgbaImage>;
}

export interface DiffusionGenerateOptions extends ActivationHooks {
  /** Of class-conditional networks: a class, or one for each of several images, which run as a batch. */
  readonly classLabel?: number | readonly number[] | undefined;
  /** Of networks with text: embeddings of a caption's tokens as the network's text encoder makes them, f32 [T, C], or one for each of several images. */
  readonly captionEmbeddings?: Tensor | readonly Tensor[] | undefined;
  /** Embeddings of the caption that guidance leads away from, mostly those of an empty text. Needed where `guidance` is not 1. */
  readonly negativeCaptionEmbeddings?: Tensor | undefined;
  /** In pixels; default what the network was trained for. */
  readonly height?: number | undefined;
  readonly width?: number | undefined;
  /** Of videos, in frames of the sample, after the autoencoder's compression. Default what the network was trained for. */
  readonly frames?: number | undefined;
  /** Default 20. */
  readonly steps?: number | undefined;
  /** Default what the checkpoint asks for. */
  readonly scheduler?: SolverName | undefined;
  /** DDIM: share of DDPM's noise that a step adds. Default 0. */
  readonly eta?: number | undefined;
  /** Weight of classifier-free guidance; 1 runs the conditional branch alone. Default 4. */
  readonly guidance?: number | undefined;
  /** Of the noise and of all that methods draw. Default 0. The same seed gives the same image in every batch. */
  readonly seed?: number | undefined;
  /** The method that acts in this run, or several. */
  readonly method?: Method | readonly Method[] | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called with the share of the work that is done, in [0, 1]. */
  readonly onProgress?: ((share: number) => void) | undefined;
  /** Called after each step; the run waits for it. */
  readonly onStep?: ((event: StepEvent) => void | Promise<void>) | undefined;
}

export interface ResolvedOptions {
  readonly steps: number;
  readonly guidance: number;
  readonly eta: number;
  readonly seed: number;
  readonly scheduler: SolverName | undefined;
}

/** @throws ArgumentError for a value out of its range */
export function resolveOptions(options: DiffusionGenerateOptions): ResolvedOptions {
  const { steps = 20, guidance = 4, eta = 0, seed = 0, scheduler } = options;
  if (!(Number.isInteger(steps) && steps >= 1)) throw new ArgumentError('steps', steps, 'an integer of 1 or more');
  checkGuidance(guidance);
  if (!(Number.isSafeInteger(seed) && seed >= 0)) throw new ArgumentError('seed', seed, 'an integer of 0 or more');
  if (scheduler !== undefined && !solverNames.includes(scheduler)) {
    throw new ArgumentError('scheduler', scheduler, solverNames.join(', '));
  }
  return { steps, guidance, eta, seed, scheduler };
}

/** @throws ArgumentError */
export function checkGuidance(guidance: number): void {
  if (!(Number.isFinite(guidance) && guidance >= 0))
    throw new ArgumentError('guidance', guidance, 'a number of 0 or more');
}

import {
  type ActivationHooks,
  ArgumentError,
  DisposedError,
  type Gpu,
  gridTokens,
  MethodRun,
  type ModelFacts,
  RefusedError,
  ShapeError,
  type Tensor,
  TextlessModel,
} from '@saccade/core';
import type { Condition, DenoisingNetwork, SampleSize } from '../networks/denoising-network.ts';

export interface PredictOptions extends ActivationHooks {
  /** What the network is told of the noise, as it was trained with: in most models 0 to 1000. */
  readonly timestep: number;
  readonly condition: Condition;
  /** The run whose methods act. Default: none, dense. */
  readonly run?: MethodRun | undefined;
}

/** A diffusion transformer on the GPU, as methods see it: bidirectional, in the phase `denoise`. */
export class DiffusionModel extends TextlessModel {
  readonly gpu: Gpu;
  readonly facts: ModelFacts;
  readonly network: DenoisingNetwork;
  #disposed = false;

  constructor(network: DenoisingNetwork) {
    super();
    this.gpu = network.gpu;
    this.facts = network.facts;
    this.network = network;
  }

  /** Bytes of the weights in GPU memory. */
  get weightBytes(): number {
    return this.network.weightBytes;
  }

  /**
   * What the network predicts for noisy samples: the noise or the velocity, and a variance where it learned one. Records only:
   * nothing is awaited.
   *
   * @param sample f32 [B, C, height, width]; of videos [B, frames, C, height, width]
   * @returns f32, as the sample, with the network's `outChannels`. The caller disposes it.
   * @throws ShapeError, ArgumentError
   */
  predict(sample: Tensor, { timestep, condition, run, ...hooks }: PredictOptions): Tensor {
    this.#assertUsable();
    const { gpu, network } = this;
    const size = this.#check(sample, condition);
    if (!Number.isFinite(timestep)) throw new ArgumentError('predict: timestep', timestep, 'a finite number');
    if (run && (hooks.observe || hooks.edit)) {
      throw new ArgumentError(
        'predict: observe and edit',
        'given together with a run',
        'those that the run started with',
      );
    }
    const own = run ?? MethodRun.dense(this, hooks);
    const [batch] = sample.shape as [number];
    const grid = network.grid(size, condition.captions?.shape[1]);
    own.tokenGrid = grid;
    own.phase = 'denoise';
    const count = batch * gridTokens(grid);
    try {
      return gpu.tidy(() =>
        own.pass([{ cache: undefined, count, batch }], () => network.forward({ sample, timestep, condition }, own)),
      );
    } finally {
      if (!run) own.dispose();
    }
  }

  /** Frees the weights. Idempotent. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.network.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  protected refuse(what: string): never {
    throw new RefusedError(`${this.facts.name} is a diffusion model and has no such thing as ${what}.`);
  }

  /** The size of a sample that fits the network. */
  #check(sample: Tensor, condition: Condition): SampleSize {
    const { sampleSize, inChannels } = this.network;
    const video = sampleSize.frames !== undefined;
    const channels = sample.shape[video ? 2 : 1];
    if (sample.dtype !== 'f32' || sample.rank !== (video ? 5 : 4) || channels !== inChannels) {
      const expected = video ? `[B, frames, ${inChannels}, height, width]` : `[B, ${inChannels}, height, width]`;
      throw new ShapeError('predict', `the sample is ${sample.dtype}[${sample.shape}]; expected f32 ${expected}.`);
    }
    this.network.checkCondition(condition, sample.shape[0] as number);
    const [height, width] = sample.shape.slice(-2) as [number, number];
    return { ...(video ? { frames: sample.shape[1] as number } : {}), height, width };
  }

  #assertUsable(): void {
    if (this.#disposed) throw new DisposedError(`The model ${this.facts.name}`);
  }
}

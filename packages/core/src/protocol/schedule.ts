import type { Tensor } from '../tensor/tensor.ts';

/** One stretch of a denoising run at one size. */
export interface DenoisingStage {
  readonly steps: number;
  /** In pixels, as the pipeline's own options. */
  readonly height: number;
  readonly width: number;
  /** Videos only. */
  readonly frames?: number;
  /** Shift of the noise levels towards high noise, s in s u / (1 + (s - 1) u) with u = 1, 1 - 1 / steps, ..., 1 / steps. Networks that predict a flow only. */
  readonly shift?: number;
  /** The noise levels themselves in place of those of `steps` and `shift`: falling from at most 1, the end (usually 0) included. As `shift`. */
  readonly noiseLevels?: readonly number[];
  /** Share of the stage's noise levels that are run, 1 for all: how much noise an upscaled result is given anew. */
  readonly strength?: number;
  /** Weight of classifier-free guidance. */
  readonly guidanceScale?: number;
  /**
   * How the clean estimate of the stage before gets this stage's size, in elements of the sample: f32 [images, C, height, width]; of videos
   * frame by frame. Default: bilinear.
   */
  readonly resize?: (clean: Tensor, size: { readonly height: number; readonly width: number }) => Tensor;
}

/** Stages of a denoising run, in order; the last one has the size that was asked for. */
export interface DenoisingSchedule {
  readonly stages: readonly DenoisingStage[];
}

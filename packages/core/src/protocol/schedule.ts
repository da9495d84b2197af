/** One stretch of a denoising run at one size. */
export interface DenoisingStage {
  readonly steps: number;
  /** In pixels, as the pipeline's own options. */
  readonly height: number;
  readonly width: number;
  /** Videos only. */
  readonly frames?: number;
  /** Shift of the noise levels towards high noise, s in s u / (1 + (s - 1) u). */
  readonly shift?: number;
  /** Share of the stage's noise levels that are run, 1 for all: how much noise an upscaled result is given anew. */
  readonly strength?: number;
  /** Weight of classifier-free guidance. */
  readonly guidanceScale?: number;
}

/** Stages of a denoising run, in order; the last one has the size that was asked for. */
export interface DenoisingSchedule {
  readonly stages: readonly DenoisingStage[];
}

import type { Gpu, ModelHandle } from '@saccade/core';

/** What loading a model may report. */
export interface LoadOptions {
  readonly signal: AbortSignal;
  /** Share of the work done, in [0, 1]. */
  readonly onProgress: (share: number) => void;
  /** One line for the user: which source was taken. */
  readonly log: (line: string) => void;
}

/** Kinds of models: those that continue text, those that fill in masked text, those that denoise images, those that see images. */
export type ModelFamily = 'language' | 'masked-diffusion' | 'diffusion' | 'vision';

/** A model that the bench can load by a short name. */
export interface ModelEntry {
  /** What the command line takes and results call `model`. */
  readonly name: string;
  readonly title: string;
  /** One sentence: what it is, how large, where it comes from. */
  readonly description: string;
  /** Which scenarios it suits. */
  readonly family: ModelFamily;
  /** Names of the classes that it draws, by their numbers. */
  readonly classes?: readonly string[];
  load(gpu: Gpu, options: LoadOptions): Promise<ModelHandle>;
}

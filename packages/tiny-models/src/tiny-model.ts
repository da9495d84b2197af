import type { Gpu } from '@saccade/core';
import {
  type DiffusionPipeline,
  type LanguageModel,
  type LoadDiffusionModelOptions,
  type LoadLanguageModelOptions,
  type LoadVisionLanguageModelOptions,
  loadDiffusionModel,
  loadLanguageModel,
  loadMaskedDiffusionModel,
  loadVisionLanguageModel,
  type MaskedDiffusionModel,
  modelFilesFromUrls,
  type VisionLanguageModel,
} from '@saccade/models';

/** A checkpoint that this package holds. */
export interface TinyModel {
  readonly name: string;
  readonly title: string;
  /** One sentence: what it is and what it was trained on. */
  readonly description: string;
  /** Addresses of the checkpoint's files, as a bundler or the file system knows them. */
  readonly files: Readonly<Record<string, URL>>;
}

/**
 * Loads one of this package's models, in Node from its folder and in a browser from the page's assets.
 * @throws WeightFileError where a file cannot be read; OutOfMemoryError
 */
export function loadTinyModel(
  gpu: Gpu,
  model: TinyModel,
  options: Pick<LoadLanguageModelOptions, 'signal' | 'onProgress' | 'dtype'> = {},
): Promise<LanguageModel> {
  return loadLanguageModel(gpu, modelFilesFromUrls(model.name, model.files), options);
}

/**
 * Loads a masked-diffusion model of this package, as {@link loadTinyModel} loads the others.
 * @throws ModelConfigError for a model of another kind; as {@link loadTinyModel}
 */
export function loadTinyMaskedDiffusion(
  gpu: Gpu,
  model: TinyModel,
  options: Pick<LoadLanguageModelOptions, 'signal' | 'onProgress' | 'dtype'> = {},
): Promise<MaskedDiffusionModel> {
  return loadMaskedDiffusionModel(gpu, modelFilesFromUrls(model.name, model.files), options);
}

/**
 * Loads a diffusion model of this package, whose samples are pixels, as {@link loadTinyModel} loads the others.
 * @throws as {@link loadTinyModel}
 */
export function loadTinyDiffusion(
  gpu: Gpu,
  model: TinyModel,
  options: Pick<LoadDiffusionModelOptions, 'signal' | 'onProgress' | 'dtype'> = {},
): Promise<DiffusionPipeline> {
  return loadDiffusionModel(gpu, modelFilesFromUrls(model.name, model.files), options);
}

/**
 * Loads a model of this package that sees, as {@link loadTinyModel} loads the others.
 * @throws as {@link loadTinyModel}
 */
export function loadTinyVisionLanguageModel(
  gpu: Gpu,
  model: TinyModel,
  options: Pick<LoadVisionLanguageModelOptions, 'signal' | 'onProgress' | 'dtype'> = {},
): Promise<VisionLanguageModel> {
  return loadVisionLanguageModel(gpu, modelFilesFromUrls(model.name, model.files), options);
}

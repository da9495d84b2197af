import type { Gpu } from '@saccade/core';
import {
  type LanguageModel,
  type LoadLanguageModelOptions,
  loadLanguageModel,
  modelFilesFromUrls,
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

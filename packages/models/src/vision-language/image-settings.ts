import { ArgumentError } from '@saccade/core';
import type { VisionLanguageConfig } from './vision-language-config.ts';

/** How images are brought to the model's size; what is left out is the checkpoint's. */
export interface ImageSettings {
  /** Idefics3, SmolVLM: whether images are split into tiles, which costs tokens. */
  readonly split?: boolean;
  /** Qwen2-VL: pixels that images have at least and at most after resizing; a token stands for 28 x 28 of them. */
  readonly resolution?: { readonly minimumPixels?: number; readonly maximumPixels?: number };
  /** Most pixels of an image before it is resized. Default 89,478,485. */
  readonly maximumPixels?: number;
}

/** The configuration with these settings. @throws ArgumentError for one that the model does not know */
export function adjustProcessor(config: VisionLanguageConfig, settings: ImageSettings): VisionLanguageConfig {
  const { processor, architecture } = config;
  const { split, resolution, maximumPixels } = settings;
  if (maximumPixels !== undefined && !(Number.isInteger(maximumPixels) && maximumPixels >= 1)) {
    throw new ArgumentError('images: maximumPixels', maximumPixels, 'an integer of 1 or more');
  }
  if (split !== undefined && processor.kind !== 'tiles') {
    throw new ArgumentError('images: split', split, `nothing with ${architecture}, which splits no images`);
  }
  if (resolution !== undefined && processor.kind !== 'dynamic') {
    throw new ArgumentError(
      'images: resolution',
      resolution,
      `nothing with ${architecture}, whose images have one size`,
    );
  }
  if (processor.kind === 'tiles') return { ...config, processor: { ...processor, split: split ?? processor.split } };
  if (processor.kind !== 'dynamic') return config;
  const adjusted = { ...processor, ...resolution };
  if (!(adjusted.minimumPixels >= 1 && adjusted.maximumPixels >= adjusted.minimumPixels)) {
    throw new ArgumentError('images: resolution', resolution, 'a minimum of 1 or more and a maximum that is no less');
  }
  return { ...config, processor: adjusted };
}

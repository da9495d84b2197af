import { ArgumentError, RefusedError, type Tensor } from '@saccade/core';
import type { RgbaImage } from './generate-options.ts';
import { readRgba } from './images.ts';

/** What a run made. Dispose it. */
export class GeneratedImages {
  /** Clean samples: f32 [images, C, height, width], of videos [videos, frames, C, height, width]; pixels or latents. */
  readonly latents: Tensor;
  /** f32 [images, 3, height, width] in [0, 1]; undefined where nothing decodes the samples, as for videos. */
  readonly images: Tensor | undefined;

  constructor(latents: Tensor, images: Tensor | undefined) {
    this.latents = latents;
    this.images = images;
  }

  /** An image as bytes. @throws ArgumentError for an index that there is not; RefusedError where there are no images */
  rgba(index = 0): Promise<RgbaImage> {
    const { images } = this;
    if (!images) throw new RefusedError('The result has latents only: nothing here decodes them.');
    const [count] = images.shape as [number];
    if (!(Number.isInteger(index) && index >= 0 && index < count)) {
      throw new ArgumentError('rgba: index', index, `0 to ${count - 1}`);
    }
    return readRgba(images.gpu, images, index);
  }

  dispose(): void {
    this.latents.dispose();
    this.images?.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

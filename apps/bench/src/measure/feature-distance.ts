import type { Gpu } from '@saccade/core';
import type { VisionLanguageModel } from '@saccade/models';
import { loadTinyVisionLanguageModel, scenes } from '@saccade/tiny-models';
import { imageBytes } from './image-bytes.ts';
import type { HostImage } from './image-quality.ts';

/** How far images are apart for the vision encoder that ships with the workspace. It is no measure of what people see (not LPIPS). */
export class FeatureDistance {
  readonly #model: VisionLanguageModel;

  private constructor(model: VisionLanguageModel) {
    this.#model = model;
  }

  static async open(gpu: Gpu, signal: AbortSignal): Promise<FeatureDistance> {
    return new FeatureDistance(await loadTinyVisionLanguageModel(gpu, scenes, { signal }));
  }

  /** Mean over patches of 1 minus the cosine between the features of an image and of its reference, and over the images, in [-1, 1]. */
  async mean(images: readonly HostImage[], references: readonly HostImage[]): Promise<number> {
    let total = 0;
    for (const [at, image] of images.entries()) {
      const rows = await this.#features(image);
      const others = await this.#features(references[at] as HostImage);
      total += meanCosineDistance(rows, others, this.#model.facts.hiddenSize);
    }
    return total / images.length;
  }

  dispose(): void {
    this.#model.dispose();
  }

  async #features(image: HostImage): Promise<Float32Array> {
    const { width, height } = image;
    const features = await this.#model.imageFeatures({ width, height, channels: 3, data: imageBytes(image) });
    try {
      return (await features.read()) as Float32Array;
    } finally {
      features.dispose();
    }
  }
}

/** Mean of 1 minus the cosine over rows of this many values. */
export function meanCosineDistance(rows: ArrayLike<number>, others: ArrayLike<number>, size: number): number {
  let total = 0;
  for (let start = 0; start < rows.length; start += size) {
    let [dot, square, otherSquare] = [0, 0, 0];
    for (let at = start; at < start + size; at++) {
      const [x, y] = [rows[at] as number, others[at] as number];
      dot += x * y;
      square += x * x;
      otherSquare += y * y;
    }
    total += 1 - dot / Math.sqrt(square * otherSquare);
  }
  return total / (rows.length / size);
}

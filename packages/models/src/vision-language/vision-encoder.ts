import { concatenate, type Gpu, ImageError, type RgbImage, type Tensor } from '@saccade/core';
import type { WeightLoader } from '../architectures/weight-loader.ts';
import { patchRows } from '../images/patches.ts';
import { type ProcessedImage, processImage } from '../images/process-image.ts';
import { loadProjector, loadVisionTower } from '../vision/load-vision.ts';
import { type ProjectorWeights, projectFeatures } from '../vision/projector.ts';
import { VisionTower } from '../vision/vision-tower.ts';
import type { ImageTokens, VisionLanguageConfig } from './vision-language-config.ts';

/** An image at the size in which the model sees it. */
export interface PreparedImage extends ProcessedImage {
  readonly tokens: ImageTokens;
}

/** Rows of patches that run together at most: bounds the memory of activations. */
const mostRows = 8192;

/** The part of a model that sees: vision tower and projector. */
export class VisionEncoder {
  readonly #gpu: Gpu;
  readonly #config: VisionLanguageConfig;
  readonly #tower: VisionTower;
  readonly #projector: ProjectorWeights;

  private constructor(gpu: Gpu, config: VisionLanguageConfig, tower: VisionTower, projector: ProjectorWeights) {
    this.#gpu = gpu;
    this.#config = config;
    this.#tower = tower;
    this.#projector = projector;
  }

  /** @throws WeightFileError */
  static async load(
    gpu: Gpu,
    loader: WeightLoader,
    config: VisionLanguageConfig,
    onProgress: (share: number) => void,
  ): Promise<VisionEncoder> {
    let loaded = 0;
    const weights = await loadVisionTower(loader, config.vision, () => {
      loaded++;
      onProgress(loaded / (config.vision.layers + 1));
    });
    const projector = await loadProjector(loader, config.projector, config.vision, config.text.hiddenSize);
    return new VisionEncoder(gpu, config, new VisionTower(gpu, config.vision, weights), projector);
  }

  /** Brings an image to the model's size. @throws ImageError */
  prepare(image: RgbImage): PreparedImage {
    const { vision, processor } = this.#config;
    const processed = processImage(image, processor);
    const [{ width, height }] = processed.pictures as [RgbImage];
    const unit = vision.patchSize * vision.group;
    if (width % unit !== 0 || height % unit !== 0 || width === 0 || height === 0) {
      throw new ImageError(
        'invalid',
        `A picture of ${width} x ${height} does not divide into patches of ${unit} pixels.`,
      );
    }
    const tokens = {
      rows: height / unit,
      columns: width / unit,
      leading: vision.classToken === 'kept' ? 1 : 0,
      tileRows: processed.tileRows,
      tileColumns: processed.tileColumns,
    };
    return { ...processed, tokens };
  }

  /** Rows of the language model for images, one behind the other: f32 [tokens, hiddenSize]. The caller disposes the tensor. */
  encode(images: readonly PreparedImage[]): Tensor {
    const gpu = this.#gpu;
    return gpu.keep(
      gpu.tidy(() => {
        const parts = this.#batches(images.flatMap(({ pictures }) => pictures)).map((batch) => this.#features(batch));
        return parts.length === 1 ? (parts[0] as Tensor).alias() : concatenate(parts);
      }),
    );
  }

  /** Neighbouring pictures of one size, as many as may run together. */
  #batches(pictures: readonly RgbImage[]): RgbImage[][] {
    const batches: RgbImage[][] = [];
    for (const picture of pictures) {
      const batch = batches.at(-1);
      const [first] = batch ?? [];
      const rows = (picture.width * picture.height) / this.#config.vision.patchSize ** 2;
      const alike = first?.width === picture.width && first.height === picture.height;
      if (batch && alike && (batch.length + 1) * rows <= mostRows) batch.push(picture);
      else batches.push([picture]);
    }
    return batches;
  }

  #features(batch: readonly RgbImage[]): Tensor {
    const { vision, processor, projector } = this.#config;
    const { patchSize, group, frames } = vision;
    const { mean, deviation } = processor;
    const layout = { size: patchSize, group, frames, mean, deviation };
    const [{ width, height }] = batch as readonly [RgbImage];
    const [rows, columns] = [height / patchSize, width / patchSize];
    return this.#gpu.tidy(() => {
      const patches = batch.map((picture) =>
        this.#gpu.tensor(patchRows(picture, layout), [rows * columns, 3 * frames * patchSize ** 2]),
      );
      const features = this.#tower.forward({
        patches: patches.length === 1 ? (patches[0] as Tensor) : concatenate(patches),
        pictures: batch.length,
        rows,
        columns,
      });
      return projectFeatures(features, projector, this.#projector, group);
    });
  }
}

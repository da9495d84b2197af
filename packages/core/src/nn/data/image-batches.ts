import type { Gpu } from '../../device/gpu.ts';
import { ArgumentError } from '../../errors.ts';
import { RandomStream } from '../../random/random-stream.ts';
import type { Seed } from '../../random/seed.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { epochOrder } from './epoch-order.ts';

/** Images of one size, pixel by pixel, as canvases and PNG readers give them. */
export interface Images {
  /** [images, height, width, channels], 0 to 255. */
  readonly pixels: Uint8Array | Uint8ClampedArray;
  readonly height: number;
  readonly width: number;
  /** Such as 3, or 4 with an alpha channel that {@link ImageBatchesOptions.channels} leaves out. */
  readonly channels: number;
  /** A class per image. */
  readonly labels?: ArrayLike<number>;
}

export interface ImageBatchesOptions {
  readonly batch: number;
  /** C: the first ones of each pixel. Default: all. */
  readonly channels?: number;
  /** Taken from values in 0 to 1, then divided by: `(value / 255 - mean) / deviation`, per channel. Default 0.5 and 0.5, which gives -1 to 1. */
  readonly mean?: readonly number[];
  readonly deviation?: readonly number[];
  /** Mirrors half of the images, left to right. Default false. */
  readonly flip?: boolean;
  /** Default 0. */
  readonly seed?: Seed;
}

/** Batches of normalised images, each image once per epoch. A batch is a function of seed and step alone. */
export class ImageBatches {
  readonly batch: number;
  readonly channels: number;
  readonly #images: Images;
  readonly #count: number;
  readonly #options: ImageBatchesOptions;

  /** @throws ArgumentError for sizes that do not fit */
  constructor(images: Images, options: ImageBatchesOptions) {
    const { pixels, height, width, channels, labels } = images;
    const { batch, channels: used = channels, mean = [], deviation = [] } = options;
    const count = pixels.length / (height * width * channels);
    if (!(Number.isInteger(count) && count >= 1)) {
      const wanted = `a multiple of ${height} x ${width} x ${channels}`;
      throw new ArgumentError('ImageBatches: pixels', `${pixels.length} values`, wanted);
    }
    if (labels && labels.length !== count)
      throw new ArgumentError('ImageBatches: labels', `${labels.length} labels`, `one for each of ${count} images`);
    if (!(Number.isInteger(batch) && batch >= 1 && batch <= count))
      throw new ArgumentError('ImageBatches: batch', batch, `an integer from 1 to ${count}`);
    if (!(Number.isInteger(used) && used >= 1 && used <= channels))
      throw new ArgumentError('ImageBatches: channels', used, `an integer from 1 to ${channels}`);
    for (const [name, values] of Object.entries({ mean, deviation })) {
      if (values.length > 0 && (values.length !== used || !values.every(Number.isFinite)))
        throw new ArgumentError(`ImageBatches: ${name}`, values, `a number for each of ${used} channels`);
    }
    if (deviation.includes(0)) throw new ArgumentError('ImageBatches: deviation', deviation, 'no zero');
    this.batch = batch;
    this.channels = used;
    this.#images = images;
    this.#count = count;
    this.#options = options;
  }

  /** Whole batches of an epoch. */
  get stepsPerEpoch(): number {
    return Math.floor(this.#count / this.batch);
  }

  /** The batch of a step, from 0, on the host: images [B, C, H, W], and the labels of labelled ones. */
  at(step: number): { readonly images: Float32Array; readonly labels: Uint32Array | undefined } {
    const { order } = epochOrder(this.#count, this.#options.seed ?? 0, Math.floor(step / this.stepsPerEpoch));
    const first = (step % this.stepsPerEpoch) * this.batch;
    const chosen = order.slice(first, first + this.batch);
    // Another stream than the order's: below 2^31 epochs and steps.
    const random = new RandomStream(this.#options.seed ?? 0, 2 ** 31 + step);
    const { height, width, labels } = this.#images;
    const size = this.channels * height * width;
    const images = new Float32Array(chosen.length * size);
    chosen.forEach((image, row) => {
      const mirrored = this.#options.flip === true && random.next() < 0.5;
      this.#write(images.subarray(row * size, (row + 1) * size), image, mirrored);
    });
    return { images, labels: labels && Uint32Array.from(chosen, (image) => labels[image] as number) };
  }

  /** The batch of a step on the GPU: f32 [B, C, H, W], u32 [B]. The caller's, in a scope the scope's. */
  tensors(gpu: Gpu, step: number): { readonly images: Tensor; readonly labels: Tensor | undefined } {
    const { images, labels } = this.at(step);
    const { height, width } = this.#images;
    return gpu.tidy(() => ({
      images: gpu.tensor(images, [this.batch, this.channels, height, width]),
      labels: labels && gpu.tensor(labels, [this.batch], 'u32'),
    }));
  }

  #write(target: Float32Array, image: number, mirrored: boolean): void {
    const { pixels, height, width, channels } = this.#images;
    const { mean, deviation } = this.#options;
    const base = image * height * width * channels;
    for (let channel = 0; channel < this.channels; channel++) {
      const [shift, spread] = [mean?.[channel] ?? 0.5, deviation?.[channel] ?? 0.5];
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          const from = base + (y * width + (mirrored ? width - 1 - x : x)) * channels + channel;
          target[(channel * height + y) * width + x] = ((pixels[from] as number) / 255 - shift) / spread;
        }
      }
    }
  }
}

import { concatenate, contiguous, type Gpu, maximum, minimum, scale, type Tensor } from '@saccade/core';
import type { ImageDecoder } from '../autoencoder/image-decoder.ts';
import type { RgbaImage } from './generate-options.ts';

/** How samples become images: through a decoder, or as they are where the network works on pixels. */
export interface ImageMaker {
  /** Undefined where samples are pixels. */
  readonly decoder: ImageDecoder | undefined;
}

/** Images of clean samples [images, C, height, width], one after another: f32 [images, 3, height, width] in [0, 1]. */
export function makeImages({ decoder }: ImageMaker, samples: Tensor): Tensor {
  const { gpu } = samples;
  return gpu.tidy(() => {
    if (!decoder) return toUnit(samples);
    const count = samples.shape[0] as number;
    const images = Array.from({ length: count }, (_, index) =>
      gpu.tidy(() => toUnit(decoder.decode(contiguous(samples.slice(0, index, index + 1))))),
    );
    return images.length === 1 ? (images[0] as Tensor) : concatenate(images);
  });
}

/** [-1, 1] as [0, 1], what lies outside cut off. */
function toUnit(x: Tensor): Tensor {
  const number = (value: number) => x.gpu.tensor([value], [1, 1, 1, 1]);
  return minimum(maximum(scale(x, 0.5, 0.5), number(0)), number(1));
}

/** One of several images [images, 3 or 1, height, width] in [0, 1] as bytes. */
export async function readRgba(gpu: Gpu, images: Tensor, index: number): Promise<RgbaImage> {
  const [, channels, height, width] = images.shape as [number, number, number, number];
  const own = gpu.keep(gpu.tidy(() => contiguous(images.slice(0, index, index + 1)).alias()));
  try {
    const values = (await own.read()) as Float32Array;
    const data = new Uint8ClampedArray(4 * width * height).fill(255);
    for (let pixel = 0; pixel < width * height; pixel++) {
      for (let channel = 0; channel < 3; channel++) {
        data[4 * pixel + channel] = 255 * (values[(channel % channels) * width * height + pixel] as number);
      }
    }
    return { data, width, height };
  } finally {
    own.dispose();
  }
}

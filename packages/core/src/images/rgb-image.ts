import type { RawImage } from '../protocol/image-prompt.ts';
import { ImageError } from './image-error.ts';

/** Pixels without alpha: [height, width, 3]. */
export interface RgbImage {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array | Uint8ClampedArray;
}

/**
 * Raw pixels as RGB: grey is repeated, and transparency shows white behind it, as in transformers' processors.
 * @throws ImageError `invalid`
 */
export function rgbImage(image: RawImage): RgbImage {
  const { width, height, channels, data } = image;
  for (const [name, size] of Object.entries({ width, height })) {
    if (!Number.isInteger(size) || size < 1)
      throw new ImageError('invalid', `The image's ${name} is ${size}; allowed: 1 or more.`);
  }
  if (channels !== 1 && channels !== 2 && channels !== 3 && channels !== 4) {
    throw new ImageError('invalid', `The image has ${channels} channels; allowed: 1 (grey), 2, 3 (RGB) or 4 (RGBA).`);
  }
  const count = width * height;
  if (!isBytes(data) || data.length !== count * channels) {
    const given = isBytes(data) ? `${data.length} bytes` : 'no bytes';
    throw new ImageError(
      'invalid',
      `An image of ${width} x ${height} with ${channels} channels takes ${count * channels} bytes; it has ${given}.`,
    );
  }
  if (channels === 3) return { width, height, data };
  const rgb = new Uint8Array(count * 3);
  const colours = channels === 4 ? 3 : 1;
  for (let pixel = 0; pixel < count; pixel++) {
    const alpha = channels === colours ? 255 : (data[pixel * channels + colours] as number);
    for (let colour = 0; colour < 3; colour++) {
      const value = data[pixel * channels + Math.min(colour, colours - 1)] as number;
      rgb[pixel * 3 + colour] = alpha === 255 ? value : overWhite(value, alpha);
    }
  }
  return { width, height, data: rgb };
}

/** Pillow's integer blend of a value with white, which rounds in two steps. */
function overWhite(value: number, alpha: number): number {
  const sum = (value * alpha + 255 * (255 - alpha) + 128) * 128;
  return (((sum >> 8) + sum) >> 8) >> 7;
}

function isBytes(data: unknown): data is Uint8Array | Uint8ClampedArray {
  return data instanceof Uint8Array || data instanceof Uint8ClampedArray;
}

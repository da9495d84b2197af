import type { RawImage } from '@saccade/core';
import type { Pixels } from './protocol.ts';

/** Longer images are scaled down to this many pixels on their longer side: models see no more. */
const mostPixels = 1024;

/** Pixels of an image file. */
export async function rawImage(file: Blob): Promise<RawImage> {
  const bitmap = await createImageBitmap(file);
  const scale = Math.min(1, mostPixels / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [Math.round(bitmap.width * scale), Math.round(bitmap.height * scale)];
  const context = new OffscreenCanvas(width, height).getContext('2d');
  if (!context) throw new Error('This browser draws on no canvas.');
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  const { data } = context.getImageData(0, 0, width, height);
  return { width, height, channels: 4, data: new Uint8Array(data) };
}

/** An image of three or four channels for a canvas. */
export function pixelsOf({ width, height, channels, data }: RawImage): Pixels {
  const rgba = new Uint8ClampedArray(4 * width * height).fill(255);
  for (let pixel = 0; pixel < width * height; pixel++) {
    rgba.set(data.subarray(pixel * channels, (pixel + 1) * channels), 4 * pixel);
  }
  return { width, height, data: rgba };
}

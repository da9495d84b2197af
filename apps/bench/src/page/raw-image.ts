import type { RawImage } from '@saccade/core';

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

import { ImageError, type RawImage } from '@saccade/core';

/** Decodes a picture file with what the browser has. @throws ImageError */
export async function decodeImage(bytes: Uint8Array, name: string, maximumPixels: number): Promise<RawImage> {
  if (typeof createImageBitmap !== 'function' || typeof OffscreenCanvas !== 'function') {
    throw new ImageError('no-decoder', 'This environment decodes no pictures (createImageBitmap); give raw pixels.');
  }
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(new Blob([bytes as Uint8Array<ArrayBuffer>]), { premultiplyAlpha: 'none' });
  } catch (cause) {
    throw new ImageError('unreadable', `${name} cannot be decoded.`, { cause });
  }
  try {
    const { width, height } = bitmap;
    if (width * height > maximumPixels) {
      throw new ImageError('too-large', `${name} has ${width} x ${height} pixels, more than ${maximumPixels}.`);
    }
    const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
    if (!context) throw new ImageError('no-decoder', 'This browser gives no 2D canvas.');
    context.drawImage(bitmap, 0, 0);
    return { width, height, channels: 4, data: context.getImageData(0, 0, width, height).data };
  } finally {
    bitmap.close();
  }
}

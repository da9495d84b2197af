import { cropImage, type RgbImage, resizeImage, ShapeError } from '@saccade/core';
import type { Box } from './select-regions.ts';

/** Most pixels of a refined image, where the image itself has not more: a narrow crop would grow without end. */
const mostPixels = 2 ** 22;

/**
 * The image with black where the mask is 0.
 * @throws ShapeError
 */
export function maskImage({ height, width, data }: RgbImage, mask: Uint8Array): RgbImage {
  if (mask.length !== height * width)
    throw new ShapeError('maskImage', `a mask of ${mask.length} pixels does not fit an image of ${width} x ${height}.`);
  return { height, width, data: Uint8Array.from(data, (value, index) => (mask[Math.floor(index / 3)] ? value : 0)) };
}

/**
 * The masked image, cropped to the box and enlarged (Lanczos) in its own proportions until it covers the size of the image.
 * A crop so narrow that this would take over 2^22 pixels is enlarged up to that.
 *
 * @throws ShapeError
 */
export function refineImage(image: RgbImage, mask: Uint8Array, box: Box): RgbImage {
  const { height, width } = image;
  const most = Math.max(mostPixels, height * width);
  const scale = Math.min(
    Math.max(width / box.width, height / box.height),
    Math.max(1, Math.sqrt(most / (box.width * box.height))),
  );
  const crop = cropImage(maskImage(image, mask), box);
  return resizeImage(crop, Math.round(box.height * scale), Math.round(box.width * scale), 'lanczos');
}

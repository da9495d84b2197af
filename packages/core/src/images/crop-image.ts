import type { RgbImage } from './rgb-image.ts';

/** A rectangle of an image, in pixels; where it goes over the edges, `fill` (red, green, blue) stands. */
export function cropImage(
  image: RgbImage,
  {
    top,
    left,
    height,
    width,
  }: { readonly top: number; readonly left: number; readonly height: number; readonly width: number },
  fill: readonly [number, number, number] = [0, 0, 0],
): RgbImage {
  const out = new Uint8Array(width * height * 3);
  if (fill.some((value) => value !== 0)) {
    for (let index = 0; index < out.length; index++) out[index] = fill[index % 3] as number;
  }
  const from = Math.max(left, 0);
  const to = Math.min(left + width, image.width);
  for (let y = Math.max(-top, 0); y < height && top + y < image.height && from < to; y++) {
    const row = (top + y) * image.width;
    out.set(image.data.subarray((row + from) * 3, (row + to) * 3), (y * width + from - left) * 3);
  }
  return { width, height, data: out };
}

/** The middle of an image, with black around it where it is smaller. */
export function centreCrop(image: RgbImage, height: number, width: number): RgbImage {
  // Padding is split with the larger half behind, cropping rounds down.
  const offset = (own: number, wanted: number) =>
    wanted > own ? -Math.floor((wanted - own) / 2) : Math.floor((own - wanted) / 2);
  return cropImage(image, {
    top: offset(image.height, height),
    left: offset(image.width, width),
    height,
    width,
  });
}

import { ArgumentError, ShapeError } from '@saccade/core';

/** An image on the host: values of each channel, row by row. */
export interface HostImage {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  /** [channels, height, width] */
  readonly values: ArrayLike<number>;
}

/** What equal images are given: no finite number of decibels is theirs. */
export const mostDecibels = 100;

/**
 * Peak signal-to-noise ratio in dB, 10 log10(range^2 / mean squared difference), at most {@link mostDecibels}.
 *
 * @param range Largest minus smallest value that a pixel may have.
 * @throws ShapeError for images of different sizes, ArgumentError for a range of 0 or less
 */
export function psnr(image: HostImage, reference: HostImage, range: number): number {
  checkPair('psnr', image, reference, range);
  let squares = 0;
  for (let at = 0; at < reference.values.length; at++) {
    squares += ((image.values[at] as number) - (reference.values[at] as number)) ** 2;
  }
  const mean = squares / reference.values.length;
  return mean === 0 ? mostDecibels : Math.min(mostDecibels, 10 * Math.log10(range ** 2 / mean));
}

const side = 11;
const deviation = 1.5;
/** Weights of the window: a Gauss bell over 11 pixels, of sum 1. */
const weights = bell();

/**
 * Structural similarity (Wang et al., "Image quality assessment", 2004): means, variances and covariance under a Gauss window of 11 by 11
 * pixels with deviation 1.5, K1 = 0.01, K2 = 0.03; the mean over all places where the window lies inside, and over channels. In [-1, 1].
 *
 * @throws as {@link psnr}; ShapeError for images smaller than the window
 */
export function ssim(image: HostImage, reference: HostImage, range: number): number {
  checkPair('ssim', image, reference, range);
  const { channels, height, width } = reference;
  if (height < side || width < side) {
    throw new ShapeError('ssim', `the image is ${height} by ${width}; needs at least ${side} by ${side}.`);
  }
  const [c1, c2] = [(0.01 * range) ** 2, (0.03 * range) ** 2];
  let [total, places] = [0, 0];
  for (let channel = 0; channel < channels; channel++) {
    const plane =
      ({ values }: HostImage) =>
      (at: number) =>
        values[channel * height * width + at] as number;
    const [x, y] = [plane(image), plane(reference)];
    const blur = (value: (at: number) => number) => blurred(value, height, width);
    const [meanX, meanY] = [blur(x), blur(y)];
    const [squareX, squareY, product] = [
      blur((at) => x(at) ** 2),
      blur((at) => y(at) ** 2),
      blur((at) => x(at) * y(at)),
    ];
    for (let at = 0; at < meanX.length; at++) {
      const [mx, my] = [meanX[at] as number, meanY[at] as number];
      const varianceX = (squareX[at] as number) - mx ** 2;
      const varianceY = (squareY[at] as number) - my ** 2;
      const covariance = (product[at] as number) - mx * my;
      total += ((2 * mx * my + c1) * (2 * covariance + c2)) / ((mx ** 2 + my ** 2 + c1) * (varianceX + varianceY + c2));
      places++;
    }
  }
  return total / places;
}

/** The window's mean at each place where it lies inside: rows first, then columns. */
function blurred(value: (at: number) => number, height: number, width: number): Float64Array {
  const across = width - side + 1;
  const rows = new Float64Array(height * across);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < across; x++) {
      let sum = 0;
      for (let step = 0; step < side; step++) sum += (weights[step] as number) * value(y * width + x + step);
      rows[y * across + x] = sum;
    }
  }
  const down = height - side + 1;
  const out = new Float64Array(down * across);
  for (let y = 0; y < down; y++) {
    for (let x = 0; x < across; x++) {
      let sum = 0;
      for (let step = 0; step < side; step++)
        sum += (weights[step] as number) * (rows[(y + step) * across + x] as number);
      out[y * across + x] = sum;
    }
  }
  return out;
}

function bell(): Float64Array {
  const heights = Float64Array.from({ length: side }, (_, at) =>
    Math.exp(-((at - (side - 1) / 2) ** 2) / (2 * deviation ** 2)),
  );
  const sum = heights.reduce((total, height) => total + height, 0);
  return heights.map((height) => height / sum);
}

function checkPair(operation: string, image: HostImage, reference: HostImage, range: number): void {
  const sizes = [image, reference].map(({ channels, height, width }) => `[${channels}, ${height}, ${width}]`);
  const count = reference.channels * reference.height * reference.width;
  if (sizes[0] !== sizes[1] || image.values.length !== count || reference.values.length !== count || count === 0) {
    throw new ShapeError(
      operation,
      `the images are ${sizes[0]} and ${sizes[1]} with ${image.values.length} and ${reference.values.length} values.`,
    );
  }
  if (!(range > 0)) throw new ArgumentError(`${operation}: range`, range, 'a number above 0');
}

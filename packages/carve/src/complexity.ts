import { ArgumentError, type RgbImage } from '@saccade/core';

/**
 * How spread attention is over an image: the mean over layers of -sum of a ln a, each map divided by its sum first. From 0 (one token) to ln nv.
 *
 * @param maps by layer, of one step: [L][nv]
 * @throws ArgumentError for no map, or one without mass
 */
export function attentionEntropy(maps: readonly ArrayLike<number>[]): number {
  if (maps.length === 0) throw new ArgumentError('maps', 'none', 'at least one map');
  return maps.reduce((total, map) => total + entropy(map), 0) / maps.length;
}

function entropy(counts: ArrayLike<number>): number {
  const values = Array.from(counts);
  const sum = values.reduce((total, value) => total + value, 0);
  if (!(sum > 0)) throw new ArgumentError('maps', `a sum of ${sum}`, 'maps with mass');
  return values.reduce((total, value) => (value > 0 ? total - (value / sum) * Math.log(value / sum) : total), 0);
}

/** Thresholds of the edge detector, on the sum of the two gradients' magnitudes of grey from 0 to 255. */
export interface TextureOptions {
  /** From here a pixel that touches an edge is one. Default 100. */
  readonly low?: number;
  /** From here a pixel is an edge by itself. Default 200. */
  readonly high?: number;
}

/** Share of the pixels that are edges (Canny, Sobel gradients, without blur). The paper does not give its thresholds. */
export function textureComplexity(image: RgbImage, { low = 100, high = 200 }: TextureOptions = {}): number {
  const { height, width } = image;
  const thin = thinned(image);
  const edge = new Uint8Array(height * width);
  const found: number[] = [];
  const mark = (pixel: number) => {
    edge[pixel] = 1;
    found.push(pixel);
  };
  thin.forEach((magnitude, pixel) => {
    if (magnitude >= high) mark(pixel);
  });
  for (let next = 0; next < found.length; next++) {
    const pixel = found[next] as number;
    const [row, column] = [Math.floor(pixel / width), pixel % width];
    for (let y = Math.max(row - 1, 0); y <= Math.min(row + 1, height - 1); y++) {
      for (let x = Math.max(column - 1, 0); x <= Math.min(column + 1, width - 1); x++) {
        const other = y * width + x;
        if (edge[other] === 0 && (thin[other] as number) >= low) mark(other);
      }
    }
  }
  return found.length / edge.length;
}

/** Magnitudes of gradients, 0 where a neighbour along the gradient is larger. */
function thinned({ height, width, data }: RgbImage): Float64Array {
  const clamp = (value: number, size: number) => Math.min(Math.max(value, 0), size - 1);
  const grey = (y: number, x: number) => {
    const at = (clamp(y, height) * width + clamp(x, width)) * 3;
    return 0.299 * (data[at] as number) + 0.587 * (data[at + 1] as number) + 0.114 * (data[at + 2] as number);
  };
  const [across, down] = [new Float64Array(height * width), new Float64Array(height * width)];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const sobel = (dy: number, dx: number) =>
        [-1, 0, 1].reduce((sum, side) => {
          const weight = side === 0 ? 2 : 1;
          const [sy, sx] = [side * dx, side * dy];
          return sum + weight * (grey(y + dy + sy, x + dx + sx) - grey(y - dy + sy, x - dx + sx));
        }, 0);
      across[y * width + x] = sobel(0, 1);
      down[y * width + x] = sobel(1, 0);
    }
  }
  const magnitude = (y: number, x: number) => {
    if (y < 0 || x < 0 || y >= height || x >= width) return 0;
    return Math.abs(across[y * width + x] as number) + Math.abs(down[y * width + x] as number);
  };
  return Float64Array.from(across, (gx, pixel) => {
    const [y, x] = [Math.floor(pixel / width), pixel % width];
    const [dy, dx] = direction(gx, down[pixel] as number);
    const own = magnitude(y, x);
    return own > magnitude(y - dy, x - dx) && own >= magnitude(y + dy, x + dx) ? own : 0;
  });
}

/** The neighbour that a gradient points to, or the opposite one. */
function direction(gx: number, gy: number): [dy: number, dx: number] {
  const tangent = Math.tan(Math.PI / 8);
  if (Math.abs(gy) <= tangent * Math.abs(gx)) return [0, 1];
  if (Math.abs(gx) <= tangent * Math.abs(gy)) return [1, 0];
  return gx * gy > 0 ? [1, 1] : [1, -1];
}

/**
 * Entropy of the histogram of hues, divided by ln of its bins: 0 for one hue (grey counts as red), 1 where all are alike.
 * @param bins Default 180.
 * @throws ArgumentError
 */
export function colorComplexity({ data }: RgbImage, bins = 180): number {
  if (!(Number.isInteger(bins) && bins >= 2)) throw new ArgumentError('bins', bins, 'an integer of 2 or more');
  const counts = new Float64Array(bins);
  for (let at = 0; at < data.length; at += 3) {
    const hue = hueOf(data[at] as number, data[at + 1] as number, data[at + 2] as number);
    const bin = Math.min(Math.floor((hue / 360) * bins), bins - 1);
    counts[bin] = (counts[bin] as number) + 1;
  }
  return entropy(counts) / Math.log(bins);
}

/** In degrees, [0, 360). */
function hueOf(red: number, green: number, blue: number): number {
  const largest = Math.max(red, green, blue);
  const range = largest - Math.min(red, green, blue);
  if (range === 0) return 0;
  if (largest === red) return (60 * ((green - blue) / range) + 360) % 360;
  return largest === green ? 60 * ((blue - red) / range) + 120 : 60 * ((red - green) / range) + 240;
}

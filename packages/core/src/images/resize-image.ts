import { ArgumentError } from '../errors.ts';
import type { RgbImage } from './rgb-image.ts';

/** Filters of Pillow and torchvision, by Pillow's names. */
export type ResampleFilter = 'nearest' | 'bilinear' | 'bicubic' | 'lanczos';

interface Filter {
  /** Half of its width, in samples of the smaller grid. */
  readonly support: number;
  readonly weight: (x: number) => number;
}

const filters: Readonly<Record<Exclude<ResampleFilter, 'nearest'>, Filter>> = {
  bilinear: { support: 1, weight: (x) => Math.max(1 - Math.abs(x), 0) },
  bicubic: {
    support: 2,
    weight: (x) => {
      const [a, t] = [-0.5, Math.abs(x)];
      if (t < 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
      return t < 2 ? (((t - 5) * t + 8) * t - 4) * a : 0;
    },
  },
  lanczos: { support: 3, weight: (x) => (Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

/** Inputs of each output along one axis, with integer weights. */
interface Taps {
  readonly starts: Int32Array;
  readonly counts: Int32Array;
  /** [outputs, most] */
  readonly weights: Int32Array;
  readonly most: number;
  /** Binary digits behind the point. */
  readonly precision: number;
}

/**
 * Resizes with antialiasing, byte for byte as torchvision does: along rows, then along columns, with weights of 16 bits and
 * bytes in between. Most of Pillow's bytes are within 1 of these, a few within 6.
 *
 * @param height Of the result; then its width. In pixels, 1 or more.
 * @throws ArgumentError
 */
export function resizeImage(image: RgbImage, height: number, width: number, filter: ResampleFilter): RgbImage {
  for (const [name, pixels] of Object.entries({ height, width })) {
    if (!(Number.isInteger(pixels) && pixels >= 1))
      throw new ArgumentError(`resizeImage: ${name}`, pixels, 'an integer of 1 or more');
  }
  if (filter !== 'nearest' && !Object.hasOwn(filters, filter)) {
    throw new ArgumentError('resizeImage: filter', filter, ['nearest', ...Object.keys(filters)].join(', '));
  }
  if (image.width === width && image.height === height) return image;
  if (filter === 'nearest') return nearest(image, height, width);
  const across = image.width === width ? image : resizeRows(image, width, tapsOf(image.width, width, filters[filter]));
  return image.height === height
    ? across
    : resizeColumns(across, height, tapsOf(image.height, height, filters[filter]));
}

function tapsOf(inputs: number, outputs: number, { support, weight }: Filter): Taps {
  const ratio = inputs / outputs;
  const stretch = Math.max(ratio, 1);
  const reach = support * stretch;
  const most = Math.ceil(reach) * 2 + 1;
  const starts = new Int32Array(outputs);
  const counts = new Int32Array(outputs);
  const exact = new Float64Array(outputs * most);
  let largest = 0;
  for (let output = 0; output < outputs; output++) {
    const centre = (output + 0.5) * ratio;
    const start = Math.max(Math.trunc(centre - reach + 0.5), 0);
    const count = Math.min(Math.trunc(centre + reach + 0.5), inputs) - start;
    let total = 0;
    for (let tap = 0; tap < count; tap++) {
      const value = weight((tap + start - centre + 0.5) / stretch);
      exact[output * most + tap] = value;
      total += value;
    }
    for (let tap = 0; tap < count; tap++) {
      if (total !== 0) exact[output * most + tap] = (exact[output * most + tap] as number) / total;
      largest = Math.max(largest, exact[output * most + tap] as number);
    }
    starts[output] = start;
    counts[output] = count;
  }
  const precision = precisionFor(largest);
  const weights = Int32Array.from(exact, (value) => Math.trunc(value * 2 ** precision + (value < 0 ? -0.5 : 0.5)));
  return { starts, counts, weights, most, precision };
}

/** As many binary digits as let the largest weight fit into 16 bits with its sign. */
function precisionFor(largest: number): number {
  let precision = 0;
  while (precision < 22 && Math.trunc(0.5 + largest * 2 ** (precision + 1)) < 2 ** 15) precision++;
  return precision;
}

function resizeRows({ width: from, height, data }: RgbImage, width: number, taps: Taps): RgbImage {
  const { starts, counts, weights, most, precision } = taps;
  const out = new Uint8Array(width * height * 3);
  const half = 2 ** (precision - 1);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      let [red, green, blue] = [half, half, half];
      let at = (y * from + (starts[x] as number)) * 3;
      for (let tap = 0; tap < (counts[x] as number); tap++) {
        const factor = weights[x * most + tap] as number;
        red += (data[at++] as number) * factor;
        green += (data[at++] as number) * factor;
        blue += (data[at++] as number) * factor;
      }
      const to = (y * width + x) * 3;
      out[to] = byte(red >> precision);
      out[to + 1] = byte(green >> precision);
      out[to + 2] = byte(blue >> precision);
    }
  }
  return { width, height, data: out };
}

function resizeColumns({ width, data }: RgbImage, height: number, taps: Taps): RgbImage {
  const { starts, counts, weights, most, precision } = taps;
  const row = width * 3;
  const out = new Uint8Array(row * height);
  const half = 2 ** (precision - 1);
  const sums = new Int32Array(row);
  for (let y = 0; y < height; y++) {
    sums.fill(half);
    for (let tap = 0; tap < (counts[y] as number); tap++) {
      const factor = weights[y * most + tap] as number;
      const from = ((starts[y] as number) + tap) * row;
      for (let x = 0; x < row; x++) sums[x] = (sums[x] as number) + (data[from + x] as number) * factor;
    }
    for (let x = 0; x < row; x++) out[y * row + x] = byte((sums[x] as number) >> precision);
  }
  return { width, height, data: out };
}

function byte(value: number): number {
  return Math.min(Math.max(value, 0), 255);
}

function nearest(image: RgbImage, height: number, width: number): RgbImage {
  const out = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    const row = Math.min(Math.floor((y * image.height) / height), image.height - 1);
    for (let x = 0; x < width; x++) {
      const from = (row * image.width + Math.min(Math.floor((x * image.width) / width), image.width - 1)) * 3;
      for (let colour = 0; colour < 3; colour++)
        out[(y * width + x) * 3 + colour] = image.data[from + colour] as number;
    }
  }
  return { width, height, data: out };
}

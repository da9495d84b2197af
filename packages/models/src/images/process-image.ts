import { centreCrop, cropImage, ImageError, type RgbImage, resizeImage } from '@saccade/core';
import type { ImageProcessorConfig } from './processor-config.ts';

/** A picture as a vision tower takes it. */
export interface ProcessedImage {
  /** Pictures of one size: the tiles row by row, then the whole, or the whole alone. */
  readonly pictures: readonly RgbImage[];
  /** Tiles down and across; 0 where the picture was not split. */
  readonly tileRows: number;
  readonly tileColumns: number;
}

/** Largest edge that Idefics3's processor scales to. */
const largestEdge = 4096;

/** What a picture's width may be of its height at most, or its height of its width. */
const largestAspect = 200;

/** Brings a picture to the size of a vision tower. @throws ImageError for a shape that the model cannot take */
export function processImage(image: RgbImage, config: ImageProcessorConfig): ProcessedImage {
  switch (config.kind) {
    case 'crop':
      return whole(cropped(image, config));
    case 'tiles':
      return tiles(image, config);
    case 'dynamic':
      return whole(dynamic(image, config));
  }
}

function whole(picture: RgbImage): ProcessedImage {
  return { pictures: [picture], tileRows: 0, tileColumns: 0 };
}

function cropped(image: RgbImage, config: ImageProcessorConfig & { kind: 'crop' }): RgbImage {
  const square = config.padToSquare ? padToSquare(image, config.mean) : image;
  const { resize: size, filter, crop } = config;
  const scaled = size ? resizeImage(square, ...sizeOf(square, size), filter) : square;
  return crop ? centreCrop(scaled, crop.height, crop.width) : scaled;
}

function sizeOf(
  { width, height }: RgbImage,
  size: NonNullable<(ImageProcessorConfig & { kind: 'crop' })['resize']>,
): [height: number, width: number] {
  if ('height' in size) return [size.height, size.width];
  const { shortestEdge } = size;
  return height < width
    ? [shortestEdge, Math.trunc((shortestEdge * width) / height)]
    : [Math.trunc((shortestEdge * height) / width), shortestEdge];
}

function padToSquare(image: RgbImage, mean: readonly number[]): RgbImage {
  const { width, height } = image;
  const edge = Math.max(width, height);
  const fill = mean.map((value) => Math.trunc(value * 255)) as unknown as [number, number, number];
  const before = (own: number) => -Math.floor((edge - own) / 2);
  return cropImage(image, { top: before(height), left: before(width), height: edge, width: edge }, fill);
}

function tiles(image: RgbImage, config: ImageProcessorConfig & { kind: 'tiles' }): ProcessedImage {
  const { longestEdge, tile, split, filter } = config;
  const scaled = longestEdge === undefined ? image : resizeImage(image, ...scaledToEdge(image, longestEdge), filter);
  if (!split) return whole(resizeImage(scaled, tile, tile, filter));
  const fitted = resizeImage(scaled, ...multiplesOf(scaled, tile), filter);
  const [rows, columns] = [fitted.height / tile, fitted.width / tile];
  if (rows === 1 && columns === 1) return whole(fitted);
  const parts = Array.from({ length: rows * columns }, (_, index) =>
    cropImage(fitted, {
      top: Math.floor(index / columns) * tile,
      left: (index % columns) * tile,
      height: tile,
      width: tile,
    }),
  );
  return { pictures: [...parts, resizeImage(fitted, tile, tile, filter)], tileRows: rows, tileColumns: columns };
}

/** The longer edge gets this length, the other one an even one, and none more than the largest. */
function scaledToEdge({ width, height }: RgbImage, edge: number): [height: number, width: number] {
  const aspect = width / height;
  const even = (length: number) => Math.max(length + (length % 2), 1);
  const first: [number, number] =
    width >= height ? [even(Math.trunc(edge / aspect)), edge] : [edge, even(Math.trunc(edge * aspect))];
  const [rows, columns] = first;
  if (Math.max(rows, columns) <= largestEdge) return first;
  const ratio = columns / rows;
  return columns >= rows
    ? [Math.max(Math.trunc(largestEdge / ratio), 1), largestEdge]
    : [largestEdge, Math.max(Math.trunc(largestEdge * ratio), 1)];
}

/** Multiples of the tile's edge: the longer edge rounded up, the other one in proportion and rounded up. */
function multiplesOf({ width, height }: RgbImage, tile: number): [height: number, width: number] {
  const aspect = width / height;
  const up = (length: number) => Math.ceil(length / tile) * tile;
  if (width >= height) {
    const columns = up(width);
    return [up(Math.trunc(columns / aspect)), columns];
  }
  const rows = up(height);
  return [rows, up(Math.trunc(rows * aspect))];
}

function dynamic(image: RgbImage, config: ImageProcessorConfig & { kind: 'dynamic' }): RgbImage {
  const { width, height } = image;
  const { minimumPixels, maximumPixels, multiple, filter } = config;
  const aspect = Math.max(width, height) / Math.min(width, height);
  if (aspect > largestAspect) {
    throw new ImageError(
      'invalid',
      `An image of ${width} x ${height} is ${Math.round(aspect)} times as long as wide; allowed: ${largestAspect}.`,
    );
  }
  const nearest = (length: number) => roundHalfEven(length / multiple) * multiple;
  let [rows, columns] = [nearest(height), nearest(width)];
  if (rows * columns > maximumPixels) {
    const excess = Math.sqrt((height * width) / maximumPixels);
    const down = (length: number) => Math.max(multiple, Math.floor(length / excess / multiple) * multiple);
    [rows, columns] = [down(height), down(width)];
  } else if (rows * columns < minimumPixels) {
    const lack = Math.sqrt(minimumPixels / (height * width));
    const up = (length: number) => Math.ceil((length * lack) / multiple) * multiple;
    [rows, columns] = [up(height), up(width)];
  }
  return resizeImage(image, rows, columns, filter);
}

/** As Python rounds. */
function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

import type { Tensor } from '../../tensor/tensor.ts';
import { defineElementKernel, floatBindings, launchElements } from '../element-kernel.ts';
import { imageParameters, imagePlace, imageValues, overWindowsOf } from '../windows.ts';
import type { ConvolutionSizes } from './sizes.ts';

/** A convolution as a matrix product: each window of the image becomes a column, channel by channel. */

/** The windows that are laid out at once: of some images, those of some rows of the output. */
export interface Tile {
  readonly firstImage: number;
  readonly images: number;
  readonly firstRow: number;
  readonly rows: number;
}

const tileParameters = [
  ['first_image', 'u32'],
  ['tile_images', 'u32'],
  ['first_row', 'u32'],
  ['tile_rows', 'u32'],
] as const;

const tileValues = ({ firstImage, images, firstRow, rows }: Tile) => [firstImage, images, firstRow, rows];

/** Bytes that the columns of one tile may take: windows overlap, so they are several times the image. */
const mostColumnBytes = 64 * 2 ** 20;

/** Tiles over all windows, whose columns each take `most` bytes (or hold one row of windows). */
export function columnTiles(
  { images, inputs, kernel, outSize }: Pick<ConvolutionSizes, 'images' | 'inputs' | 'kernel' | 'outSize'>,
  most = mostColumnBytes,
): Tile[] {
  const [height, width] = outSize;
  const rowBytes = 4 * inputs * kernel[0] * kernel[1] * width;
  const fitting = Math.max(1, Math.floor(most / rowBytes));
  const tiles: Tile[] = [];
  const [imageStep, rowStep] = fitting >= height ? [Math.floor(fitting / height), height] : [1, fitting];
  for (let firstImage = 0; firstImage < images; firstImage += imageStep) {
    for (let firstRow = 0; firstRow < height; firstRow += rowStep) {
      const rows = Math.min(rowStep, height - firstRow);
      tiles.push({ firstImage, images: Math.min(imageStep, images - firstImage), firstRow, rows });
    }
  }
  return tiles;
}

/** One invocation per channel and window: it moves the elements of its window. x [B, C, H, W] -> columns [C kernel, tile's windows]. */
const unfoldKernel = defineElementKernel({
  name: 'unfold',
  bindings: () => floatBindings(['image'], ['columns']),
  parameters: [...imageParameters, ...tileParameters],
  main: () => `
  let windows = params.tile_images * params.tile_rows * params.out_width;
  let channel = at / windows;
  let window = at % windows;
  let row = window / params.out_width;
  let start_x = (window % params.out_width) * params.stride_x - params.padding_x;
  let start_y = (params.first_row + row % params.tile_rows) * params.stride_y - params.padding_y;
  let plane = ((params.first_image + row / params.tile_rows) * params.channels + channel) * params.height * params.width;
  var target_at = channel * params.kernel_height * params.kernel_width * windows + window;
  for (var ky = 0u; ky < params.kernel_height; ky++) {
    // Before the image the coordinates have wrapped around: they are outside on either side.
    let y = start_y + ky * params.dilation_y;
    let from_row = plane + min(y, params.height - 1u) * params.width;
    for (var kx = 0u; kx < params.kernel_width; kx++) {
      let x = start_x + kx * params.dilation_x;
      columns[target_at] = select(0.0, image[from_row + min(x, params.width - 1u)], y < params.height && x < params.width);
      target_at += windows;
    }
  }`,
});

/**
 * One invocation per element of the image: it adds up what the columns have at its places, always in the order of the kernel. Columns
 * [tile's images, C kernel, windows of an image] -> x [B, C, H, W]. Several tiles of one image add up.
 */
const foldKernel = defineElementKernel({
  name: 'fold',
  bindings: () => floatBindings(['columns'], ['image']),
  parameters: [...imageParameters, ...tileParameters],
  main: () => `${imagePlace}
  let windows = params.tile_rows * params.out_width;
  let taps = params.kernel_height * params.kernel_width;
  var sum = 0.0;
  ${overWindowsOf(`
      let row = oy - params.first_row;
      if (row >= params.tile_rows) { continue; }
      sum += columns[(plane * taps + tap) * windows + row * params.out_width + ox];`)}
  let target_at = params.first_image * params.channels * params.height * params.width + at;
  if (params.first_row > 0u) { sum += image[target_at]; }
  image[target_at] = sum;`,
});

/**
 * The windows of a tile as columns.
 *
 * @param x f32 [B, C, H, W], contiguous
 * @returns f32 [C, kernel, images of the tile, windows of an image]
 */
export function unfold(x: Tensor, sizes: ConvolutionSizes, tile: Tile): Tensor {
  const { gpu } = x;
  const windows = tile.rows * sizes.outSize[1];
  const columns = gpu.empty([sizes.inputs, sizes.kernel[0] * sizes.kernel[1], tile.images, windows]);
  launchElements(gpu, unfoldKernel, {}, sizes.inputs * tile.images * windows, {
    bindings: [x, columns],
    parameters: [...imageValues(sizes.inputs, sizes), ...tileValues(tile)],
    cost: { flops: 0, bytes: 8 * columns.size },
  });
  return columns;
}

/**
 * The sum of columns back at their places in the image, of the images of a tile. The tiles of an image are to be given in their order: the
 * first one overwrites.
 *
 * @param columns f32 [images of the tile, C, kernel, windows of an image], contiguous
 * @param image f32 [B, C, H, W], written
 */
export function foldInto(image: Tensor, columns: Tensor, sizes: ConvolutionSizes, tile: Tile): void {
  const total = tile.images * sizes.inputs * sizes.size[0] * sizes.size[1];
  launchElements(image.gpu, foldKernel, {}, total, {
    bindings: [columns, image],
    parameters: [...imageValues(sizes.inputs, sizes), ...tileValues(tile)],
    cost: { flops: columns.size, bytes: 4 * (columns.size + total) },
  });
}

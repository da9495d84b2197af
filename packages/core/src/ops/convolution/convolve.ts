import type { Tensor } from '../../tensor/tensor.ts';
import { cast, contiguous, copyInto } from '../copy.ts';
import { add } from '../elementwise.ts';
import { matmul } from '../matmul/matmul.ts';
import { sum } from '../reduce.ts';
import { columnTiles, foldInto, type Tile, unfold } from './columns.ts';
import { directConvolution, directInputGradient, directWeightGradient } from './direct.ts';
import type { ConvolutionSizes } from './sizes.ts';

/**
 * The linear map of a convolution and its two transposes, which are its gradients. A transposed convolution is the second of them.
 */

/** Elements of the products of single images, above which the windows of all images are one inner axis instead. */
const mostPartialElements = 2 ** 22;

/** One output channel per group has nothing to share columns with. From two on, columns and a product were twice as fast on lavapipe. */
const usesColumns = ({ outputs, groups }: ConvolutionSizes) => outputs > groups;

/** Floats [B, C, L] or [B, C, H, W] as f32 images [B, C, H, W]. */
export function asImages(x: Tensor): Tensor {
  const floats = cast(x, 'f32');
  return x.rank === 4 ? floats : contiguous(floats).reshape([...x.shape.slice(0, 2), 1, x.shape[2] as number]);
}

/** Whether the columns are the image itself. */
function pointwise({ kernel, stride, padding }: ConvolutionSizes): boolean {
  return [...kernel, ...stride].every((each) => each === 1) && padding.every((each) => each === 0);
}

/** The windows of a tile as [images, groups, rows of a group, windows of an image], strided. */
function columnsOf(x: Tensor, sizes: ConvolutionSizes, tile: Tile): Tensor {
  const { groups, inputs, kernel } = sizes;
  const rows = (inputs / groups) * kernel[0] * kernel[1];
  if (pointwise(sizes)) {
    const part = x.slice(0, tile.firstImage, tile.firstImage + tile.images);
    const own = contiguous(part.slice(2, tile.firstRow, tile.firstRow + tile.rows));
    return own.reshape([tile.images, groups, rows, tile.rows * sizes.outSize[1]]);
  }
  const columns = unfold(x, sizes, tile);
  return columns.reshape([groups, rows, tile.images, -1]).transpose(2, 0, 1, 3);
}

/** The part of an output [B, O, H', W'] that belongs to a tile. */
function outputsOf(output: Tensor, tile: Tile): Tensor {
  const { firstImage, images, firstRow, rows } = tile;
  return output.slice(0, firstImage, firstImage + images).slice(2, firstRow, firstRow + rows);
}

/** The same as [images, groups, outputs of a group, windows of an image]. */
function outputMatrix(output: Tensor, { groups, outputs, outSize }: ConvolutionSizes, tile: Tile): Tensor {
  const windows = tile.rows * outSize[1];
  return contiguous(outputsOf(output, tile)).reshape([tile.images, groups, outputs / groups, windows]);
}

/** The weight as [1, groups, outputs of a group, rows of a group]. */
function weightMatrix(weight: Tensor, { groups, inputs, outputs, kernel }: ConvolutionSizes): Tensor {
  return contiguous(weight).reshape([1, groups, outputs / groups, (inputs / groups) * kernel[0] * kernel[1]]);
}

/**
 * @param x f32 [B, C, H, W]
 * @param weight floats [O, C / groups, kernel]
 * @returns f32 [B, O, H', W']
 */
export function convolve(x: Tensor, weight: Tensor, sizes: ConvolutionSizes, tiles = columnTiles(sizes)): Tensor {
  const { gpu } = x;
  return gpu.tidy(() => {
    const image = contiguous(x);
    if (!usesColumns(sizes)) return directConvolution(image, contiguous(cast(weight, 'f32')), sizes);
    const shape = [sizes.images, sizes.outputs, ...sizes.outSize];
    const product = (tile: Tile) => matmul(weightMatrix(weight, sizes), columnsOf(image, sizes, tile));
    const [first] = tiles;
    if (first && tiles.length === 1) return product(first).reshape(shape);
    const out = gpu.empty(shape);
    for (const tile of tiles) {
      gpu.tidy(() => {
        const part = outputsOf(out, tile);
        copyInto(part, product(tile).reshape(part.shape));
      });
    }
    return out;
  });
}

/**
 * The gradient of {@link convolve} by x: each element adds up its windows in a fixed order.
 *
 * @param gradient f32 [B, O, H', W']
 * @returns f32 [B, C, H, W]
 */
export function convolveInputGradient(
  gradient: Tensor,
  weight: Tensor,
  sizes: ConvolutionSizes,
  tiles = columnTiles(sizes),
): Tensor {
  const { gpu } = gradient;
  return gpu.tidy(() => {
    const output = contiguous(gradient);
    if (!usesColumns(sizes)) return directInputGradient(output, contiguous(cast(weight, 'f32')), sizes);
    const shape = [sizes.images, sizes.inputs, ...sizes.size];
    const columns = (tile: Tile) => matmul(weightMatrix(weight, sizes).transpose(), outputMatrix(output, sizes, tile));
    const [first] = tiles;
    if (first && tiles.length === 1 && pointwise(sizes)) return columns(first).reshape(shape);
    const image = gpu.empty(shape);
    for (const tile of tiles) gpu.tidy(() => foldInto(image, columns(tile), sizes, tile));
    return image;
  });
}

/**
 * The gradient of {@link convolve} by the weight, images added in a fixed order.
 *
 * @param x f32 [B, C, H, W]
 * @param gradient f32 [B, O, H', W']
 * @returns f32 [O, C / groups, kernel]
 */
export function convolveWeightGradient(
  x: Tensor,
  gradient: Tensor,
  sizes: ConvolutionSizes,
  tiles = columnTiles(sizes),
): Tensor {
  const { gpu } = x;
  const { inputs, outputs, groups, kernel } = sizes;
  return gpu.tidy(() => {
    const [image, output] = [contiguous(x), contiguous(gradient)];
    if (!usesColumns(sizes)) return directWeightGradient(image, output, sizes);
    const shape = [outputs, inputs / groups, ...kernel];
    let total: Tensor | undefined;
    for (const tile of tiles) {
      const before = total;
      total = gpu.tidy(() => {
        const part = tileWeightGradient(image, output, sizes, tile);
        return before ? add(before, part) : part;
      });
      before?.dispose();
    }
    return (total ?? gpu.zeros(shape)).reshape(shape);
  });
}

/** [groups, outputs of a group, rows of a group] */
function tileWeightGradient(image: Tensor, output: Tensor, sizes: ConvolutionSizes, tile: Tile): Tensor {
  const columns = columnsOf(image, sizes, tile);
  const gradient = outputMatrix(output, sizes, tile);
  const [images, groups, rows, windows] = columns.shape as [number, number, number, number];
  const outputs = gradient.shape[2] as number;
  if (images * groups * outputs * rows <= mostPartialElements) {
    return sum(matmul(gradient, columns.transpose()), { axis: 0 });
  }
  const inOne = (x: Tensor, size: number) =>
    contiguous(x.transpose(1, 2, 0, 3)).reshape([groups, size, images * windows]);
  return matmul(inOne(gradient, outputs), inOne(columns, rows).transpose());
}

import { ArgumentError, contiguous, type Tensor } from '@saccade/core';
import type { SampleSize } from './denoising-network.ts';

/** @throws ArgumentError for a size that does not divide into patches */
export function patchGrid({ height, width }: SampleSize, patchSize: number): { height: number; width: number } {
  for (const [name, size] of Object.entries({ height, width })) {
    if (!(Number.isInteger(size) && size > 0 && size % patchSize === 0)) {
      throw new ArgumentError(`${name} of the sample`, size, `a multiple of ${patchSize}, the side of a patch`);
    }
  }
  return { height: height / patchSize, width: width / patchSize };
}

/** Patches of images [B, C, height, width], row by row: [B N, C P P]. */
export function patchify(x: Tensor, patchSize: number): Tensor {
  const [batch, channels, height, width] = x.shape as [number, number, number, number];
  const [rows, columns] = [height / patchSize, width / patchSize];
  const cut = x.reshape([batch, channels, rows, patchSize, columns, patchSize]).transpose(0, 2, 4, 1, 3, 5);
  return contiguous(cut).reshape([batch * rows * columns, channels * patchSize * patchSize]);
}

/**
 * Images from patches.
 * @param x [B N, P P C], or [B N, C P P] where `channelsFirst`
 * @param grid Patches of an image.
 * @returns [B, C, height, width]
 */
export function unpatchify(
  x: Tensor,
  grid: { readonly height: number; readonly width: number },
  patchSize: number,
  channelsFirst = false,
): Tensor {
  const { height, width } = grid;
  const batch = (x.shape[0] as number) / (height * width);
  const channels = (x.shape[1] as number) / patchSize ** 2;
  const patches = channelsFirst
    ? x.reshape([batch, height, width, channels, patchSize, patchSize]).transpose(0, 3, 1, 4, 2, 5)
    : x.reshape([batch, height, width, patchSize, patchSize, channels]).transpose(0, 5, 1, 3, 2, 4);
  return contiguous(patches).reshape([batch, channels, height * patchSize, width * patchSize]);
}

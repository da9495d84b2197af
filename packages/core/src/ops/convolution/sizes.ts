import type { ImageSizes, Window } from '../windows.ts';

/** The sizes of a two-dimensional convolution of images [B, C, H, W] to [B, O, H', W']. */
export interface ConvolutionSizes extends Window, ImageSizes {
  readonly images: number;
  readonly groups: number;
  /** C, of all groups. */
  readonly inputs: number;
  /** O, of all groups. */
  readonly outputs: number;
}

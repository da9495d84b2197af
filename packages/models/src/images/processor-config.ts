import type { ResampleFilter } from '@saccade/core';
import type { ConfigValues } from '../weights/config-values.ts';
import type { Normalisation } from './patches.ts';

/** A size in pixels. */
export interface PixelSize {
  readonly height: number;
  readonly width: number;
}

/** How pictures are brought to the size that a vision tower takes, and normalised. */
export type ImageProcessorConfig = Normalisation & { readonly filter: ResampleFilter } & (
    | {
        /** Resize, then the middle (CLIP). */
        readonly kind: 'crop';
        readonly resize: PixelSize | { readonly shortestEdge: number } | undefined;
        readonly crop: PixelSize | undefined;
        /** Bars of the mean colour make the picture square first. */
        readonly padToSquare: boolean;
      }
    | {
        /** Tiles of one size and the whole picture once more, small (Idefics3). */
        readonly kind: 'tiles';
        /** The picture is scaled so that its longer edge has so many pixels. Undefined: it is not. */
        readonly longestEdge: number | undefined;
        /** Edge of a tile. */
        readonly tile: number;
        /** Whether there are tiles, or the small picture alone. */
        readonly split: boolean;
      }
    | {
        /** Near its own resolution, between two counts of pixels (Qwen2-VL). */
        readonly kind: 'dynamic';
        readonly minimumPixels: number;
        readonly maximumPixels: number;
        /** Edges become multiples of this. */
        readonly multiple: number;
      }
  );

/** Pillow's numbers of filters. */
const filters: readonly (ResampleFilter | undefined)[] = ['nearest', 'lanczos', 'bilinear', 'bicubic'];

export const clipNormalisation: Normalisation = {
  mean: [0.48145466, 0.4578275, 0.40821073],
  deviation: [0.26862954, 0.26130258, 0.27577711],
};

/** -1 to 1. */
export const plainNormalisation: Normalisation = { mean: [0.5, 0.5, 0.5], deviation: [0.5, 0.5, 0.5] };

/** Filter and normalisation of a processor's file. @throws ModelConfigError */
export function commonSettings(
  values: ConfigValues,
  defaults: Normalisation & { readonly filter: ResampleFilter },
): Normalisation & { readonly filter: ResampleFilter } {
  const number = values.natural('resample', filters.indexOf(defaults.filter));
  const filter = filters[number];
  if (!filter) throw values.unsupported('resample', number, '0 (nearest), 1 (Lanczos), 2 (bilinear), 3 (bicubic)');
  if (!values.flag('do_rescale', true)) throw values.unsupported('do_rescale', false, 'true');
  const factor = values.positive('rescale_factor', 1 / 255);
  if (Math.abs(factor * 255 - 1) > 1e-6) throw values.unsupported('rescale_factor', factor, '1/255');
  if (!values.flag('do_normalize', true)) return { filter, mean: [0, 0, 0], deviation: [1, 1, 1] };
  return {
    filter,
    mean: values.numbers('image_mean', 3) ?? defaults.mean,
    deviation: values.numbers('image_std', 3) ?? defaults.deviation,
  };
}

/** A size as processors' files give it: one number, or height and width. */
export function pixelSize(values: ConfigValues, name: string): PixelSize | undefined {
  if (!values.has(name)) return undefined;
  const given = values.either(name);
  if (typeof given === 'number') return { height: given, width: given };
  return given.has('height') ? { height: given.count('height'), width: given.count('width') } : undefined;
}

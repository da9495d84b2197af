import { ArgumentError, ShapeError, type Tensor } from '@saccade/core';
import type { Condition } from './denoising-network.ts';

/** @throws ArgumentError where there are no labels, ShapeError */
export function checkLabels({ labels }: Condition, batch: number): Tensor {
  if (!labels) throw new ArgumentError('condition: labels', labels, 'u32 [B], a class for each sample');
  if (labels.dtype !== 'u32' || labels.rank !== 1 || labels.shape[0] !== batch) {
    throw new ShapeError(
      'predict',
      `labels are ${labels.dtype}[${labels.shape}] for ${batch} samples; expected u32 [${batch}].`,
    );
  }
  return labels;
}

/** @throws ArgumentError where there are no captions, ShapeError */
export function checkCaptions({ captions, captionLengths }: Condition, batch: number, channels: number): Tensor {
  if (!captions) throw new ArgumentError('condition: captions', captions, `f32 [B, T, ${channels}]`);
  const [samples, tokens, width] = captions.shape;
  if (captions.dtype !== 'f32' || captions.rank !== 3 || samples !== batch || width !== channels || tokens === 0) {
    throw new ShapeError(
      'predict',
      `captions are ${captions.dtype}[${captions.shape}] for ${batch} samples; expected f32 [${batch}, T, ${channels}].`,
    );
  }
  if (captionLengths && (captionLengths.dtype !== 'u32' || captionLengths.shape.join() !== `${batch}`)) {
    throw new ShapeError(
      'predict',
      `captionLengths are ${captionLengths.dtype}[${captionLengths.shape}]; expected u32 [${batch}].`,
    );
  }
  return captions;
}

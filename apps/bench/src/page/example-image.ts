import type { RawImage } from '@saccade/core';
import { heldOutSample, renderScene } from '@saccade/tiny-models';

/** Scenes of a few shapes, none of which the shipped model was trained on. */
const level = 2;

/** A picture to ask about, by number. */
export function exampleImage(number: number): RawImage {
  return renderScene(heldOutSample(level, number, 'objects').scene);
}

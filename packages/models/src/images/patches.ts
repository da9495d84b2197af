import type { RgbImage } from '@saccade/core';

/** What pixels are shifted and scaled by: (value / 255 - mean) / deviation, per colour. */
export interface Normalisation {
  readonly mean: readonly number[];
  readonly deviation: readonly number[];
}

/** How a picture is cut into patches. */
export interface PatchLayout extends Normalisation {
  /** Pixels along the edge of a patch. */
  readonly size: number;
  /** Patches come in squares of this edge, one behind the other; 1: row by row. */
  readonly group: number;
  /** Times that each colour's pixels are repeated (frames of a still picture). */
  readonly frames: number;
}

/** Patches row by row as rows of a matrix: f32 [patches, 3 * frames * size * size], colour outermost. */
export function patchRows(image: RgbImage, { size, group, frames, mean, deviation }: PatchLayout): Float32Array {
  const [rows, columns] = [image.height / size, image.width / size];
  const perColour = size * size;
  const perPatch = 3 * frames * perColour;
  const out = new Float32Array(rows * columns * perPatch);
  const [factor, offset] = [
    deviation.map((value) => 1 / (255 * value)),
    deviation.map((value, c) => -(mean[c] as number) / value),
  ];
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      const first = patchNumber(y, x, columns, group) * perPatch;
      for (let colour = 0; colour < 3; colour++) {
        const [scale, shift] = [factor[colour] as number, offset[colour] as number];
        let to = first + colour * frames * perColour;
        for (let py = 0; py < size; py++) {
          let from = ((y * size + py) * image.width + x * size) * 3 + colour;
          for (let px = 0; px < size; px++, from += 3) out[to++] = (image.data[from] as number) * scale + shift;
        }
        for (let frame = 1; frame < frames; frame++) {
          out.copyWithin(to, to - perColour, to);
          to += perColour;
        }
      }
    }
  }
  return out;
}

/** Number of the patch at a place of the grid, where squares of `group` patches follow one another. */
export function patchNumber(row: number, column: number, columns: number, group: number): number {
  const square = Math.floor(row / group) * (columns / group) + Math.floor(column / group);
  return square * group * group + (row % group) * group + (column % group);
}

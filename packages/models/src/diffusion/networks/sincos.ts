import type { Gpu, Tensor } from '@saccade/core';
import type { DiffusionTransformerConfig } from '../config/transformer-config.ts';

const { fround } = Math;

/** Coordinates 0, 1, ... of a grid, in f32 as checkpoints were trained with, divided by all of `divisors` in turn. */
export function gridCoordinates(count: number, ...divisors: readonly number[]): Float32Array {
  return Float32Array.from({ length: count }, (_, index) =>
    divisors.reduce((coordinate, divisor) => fround(coordinate / fround(divisor)), index),
  );
}

/** Sines, then cosines of a coordinate, `size` numbers in all. */
function writeSinusoids(out: Float32Array, at: number, size: number, coordinate: number): void {
  const half = size / 2;
  for (let i = 0; i < half; i++) {
    const angle = coordinate / 10000 ** (i / half);
    out[at + i] = Math.sin(angle);
    out[at + half + i] = Math.cos(angle);
  }
}

/** Sinusoids of coordinates, f32 [coordinates, size]. */
export function sinusoids(coordinates: Float32Array, size: number): Float32Array {
  const out = new Float32Array(coordinates.length * size);
  coordinates.forEach((coordinate, index) => {
    writeSinusoids(out, index * size, size, coordinate);
  });
  return out;
}

/**
 * Sinusoids of positions in a grid, row by row: the first half of each vector has the column, the second the row.
 * @returns f32 [height * width, size]
 */
export function gridSinusoids(rows: Float32Array, columns: Float32Array, size: number): Float32Array {
  const out = new Float32Array(rows.length * columns.length * size);
  rows.forEach((row, y) => {
    columns.forEach((column, x) => {
      const at = (y * columns.length + x) * size;
      writeSinusoids(out, at, size / 2, column);
      writeSinusoids(out, at + size / 2, size / 2, row);
    });
  });
  return out;
}

/**
 * Position embedding of an image's patches, scaled to the grid that the network was trained for: f32 [N, size].
 * @param interpolation Divisor of the coordinates.
 */
export function imageSinusoids(
  { sampleHeight, patchSize }: DiffusionTransformerConfig,
  { height, width }: { readonly height: number; readonly width: number },
  interpolation: number,
  size: number,
): Float32Array {
  const base = Math.floor(sampleHeight / patchSize);
  const rows = gridCoordinates(height, height / base, interpolation);
  const columns = gridCoordinates(width, width / base, interpolation);
  return gridSinusoids(rows, columns, size);
}

/**
 * Sinusoids of a timestep as diffusion networks take them: cosines, then sines, f32 [1, size].
 * @param shift Of the number of frequencies that the exponent is divided by: 1 in DiT, 0 in PixArt and CogVideoX.
 */
export function timestepSinusoids(gpu: Gpu, timestep: number, size: number, shift: number, sinesFirst = false): Tensor {
  return gpu.tensor(timestepFeatures(timestep, size, shift, sinesFirst), [1, size]);
}

/** In f32 step by step, as PyTorch computes it: the angles reach 1000 radians, where rounding shows. */
export function timestepFeatures(timestep: number, size: number, shift: number, sinesFirst = false): Float32Array {
  const half = size / 2;
  const out = new Float32Array(size);
  const [sines, cosines] = sinesFirst ? [0, half] : [half, 0];
  for (let i = 0; i < half; i++) {
    const exponent = fround(fround(fround(-Math.log(10000)) * i) / fround(half - shift));
    const angle = fround(fround(timestep) * fround(Math.exp(exponent)));
    out[sines + i] = Math.sin(angle);
    out[cosines + i] = Math.cos(angle);
  }
  return out;
}

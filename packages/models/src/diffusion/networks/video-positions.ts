import type { Gpu, RopeTable, TokenGrid } from '@saccade/core';
import type { CogVideoXConfig } from '../config/transformer-config.ts';
import { roundHalfEven } from '../round-half-even.ts';
import { gridCoordinates, gridSinusoids, sinusoids } from './sincos.ts';

const { fround } = Math;

const rotaryBase = 10000;

/** Position embedding of a video's patches, frame by frame: a quarter of each vector has the frame, the rest column and row. f32 [N, size]. */
export function videoSinusoids(config: CogVideoXConfig, grid: TokenGrid, size: number): Float32Array {
  const { frames = 1, height, width } = grid;
  const { spatialInterpolation, temporalInterpolation } = config;
  const [inTime, inSpace] = [size / 4, (3 * size) / 4];
  const times = sinusoids(gridCoordinates(frames, temporalInterpolation), inTime);
  const places = gridSinusoids(
    gridCoordinates(height, spatialInterpolation),
    gridCoordinates(width, spatialInterpolation),
    inSpace,
  );
  const out = new Float32Array(frames * height * width * size);
  for (let token = 0; token < frames * height * width; token++) {
    const [frame, place] = [Math.floor(token / (height * width)), token % (height * width)];
    out.set(times.subarray(frame * inTime, (frame + 1) * inTime), token * size);
    out.set(places.subarray(place * inSpace, (place + 1) * inSpace), token * size + inTime);
  }
  return out;
}

/**
 * Rotary table of a video's patches over three axes: a quarter of each head turns with the frame, three eighths each with row and
 * column. Grids of another size than that of the training are laid over its middle. Row 0 is no rotation; row 1 + i is patch i.
 */
export function videoRotary(gpu: Gpu, config: CogVideoXConfig, grid: TokenGrid): RopeTable {
  const { headSize, sampleHeight, sampleWidth, patchSize } = config;
  const { frames = 1, height, width } = grid;
  const crop = cropRegion({ height, width }, { height: sampleHeight / patchSize, width: sampleWidth / patchSize });
  const [inTime, inSpace] = [headSize / 8, (headSize / 16) * 3];
  const half = headSize / 2;
  const positions = 1 + frames * height * width;
  const cos = new Float32Array(positions * half).fill(1);
  const sin = new Float32Array(positions * half);
  const rows = spread(crop.top, crop.bottom, height);
  const columns = spread(crop.left, crop.right, width);
  for (let token = 0; token < positions - 1; token++) {
    const place = token % (height * width);
    const axes = [
      [Math.floor(token / (height * width)), inTime],
      [rows[Math.floor(place / width)] as number, inSpace],
      [columns[place % width] as number, inSpace],
    ] as const;
    let at = (token + 1) * half;
    for (const [coordinate, pairs] of axes) {
      for (let i = 0; i < pairs; i++, at++) {
        const angle = fround(coordinate * fround(1 / fround(rotaryBase ** fround(i / pairs))));
        cos[at] = Math.cos(angle);
        sin[at] = Math.sin(angle);
      }
    }
  }
  const tensors = [cos, sin].map((data) => gpu.keep(gpu.tensor(data, [positions, half])));
  const [cosines, sines] = tensors as [(typeof tensors)[0], (typeof tensors)[0]];
  return {
    rotarySize: headSize,
    positions,
    cos: cosines,
    sin: sines,
    dispose() {
      for (const tensor of tensors) tensor.dispose();
    },
  };
}

/** `count` coordinates from `start`, evenly up to a last step before `stop`. */
function spread(start: number, stop: number, count: number): Float32Array {
  const end = (stop * (count - 1)) / count;
  return Float32Array.from({ length: count }, (_, index) =>
    count === 1 ? start : start + ((end - start) * index) / (count - 1),
  );
}

/** The middle of the trained grid that a grid of another shape covers. */
function cropRegion(
  grid: { readonly height: number; readonly width: number },
  trained: { readonly height: number; readonly width: number },
): { top: number; left: number; bottom: number; right: number } {
  const tall = grid.height / grid.width > trained.height / trained.width;
  const height = tall ? trained.height : roundHalfEven((trained.width / grid.width) * grid.height);
  const width = tall ? roundHalfEven((trained.height / grid.height) * grid.width) : trained.width;
  const top = roundHalfEven((trained.height - height) / 2);
  const left = roundHalfEven((trained.width - width) / 2);
  return { top, left, bottom: top + height, right: left + width };
}

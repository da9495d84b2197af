import { philox } from '@saccade/core';
import { imageSize, type Scene, type SceneObject } from './scene.ts';
import { colours, type Noun } from './words.ts';

type Rgb = readonly [number, number, number];

/** An image: rows from the top, `data` is u8 [height, width, 3]; any model of `@saccade/models` that sees takes it. */
export interface SceneImage {
  readonly width: number;
  readonly height: number;
  readonly channels: 3;
  readonly data: Uint8Array;
}

/** Whether (u, v), in pixels from the centre, lies in a shape of a radius; whole numbers, so that the arithmetic is exact everywhere. */
const shapes: Readonly<Record<Noun, (u: number, v: number, r: number) => boolean>> = {
  circle: (u, v, r) => u * u + v * v <= r * r,
  ring: (u, v, r) => u * u + v * v <= r * r && 3 * (u * u + v * v) >= r * r,
  square: (u, v, r) => 8 * Math.max(Math.abs(u), Math.abs(v)) <= 7 * r,
  triangle: (u, v, r) => v <= r && 2 * Math.abs(u) <= v + r,
  diamond: (u, v, r) => Math.abs(u) + Math.abs(v) <= r,
  cross: (u, v, r) => 3 * Math.min(Math.abs(u), Math.abs(v)) <= r,
  star: (u, v, r) => (4 * Math.abs(u) + r) * (4 * Math.abs(v) + r) <= 5 * r * r,
  moon: (u, v, r) => u * u + v * v <= r * r && (2 * u - r) * (2 * u - r) + 4 * v * v > 3 * r * r,
  heart: (u, v, r) => (v < 0 ? (2 * Math.abs(u) - r) ** 2 + (2 * v) ** 2 <= r * r : Math.abs(u) <= r - v),
  arrow: (u, v, r) => (v < 0 ? Math.abs(u) <= v + r : 3 * Math.abs(u) <= r),
  cup: (u, v, r) => 8 * Math.max(Math.abs(u), Math.abs(v)) <= 7 * r && !(2 * Math.abs(u) <= r && 4 * v < r),
  bow: (u, v) => Math.abs(v) <= Math.abs(u),
};

/** Rows of dots of the digits, three bits each. */
const digitRows: readonly (readonly number[])[] = [
  [7, 5, 5, 5, 7],
  [2, 6, 2, 2, 7],
  [7, 1, 7, 4, 7],
  [7, 1, 7, 1, 7],
  [5, 5, 7, 1, 1],
  [7, 4, 7, 1, 7],
  [7, 4, 7, 5, 7],
  [7, 1, 2, 2, 2],
  [7, 5, 7, 5, 7],
  [7, 5, 7, 1, 7],
];

/** Pixels of a chart's unit, of a bar's width and of the distance between bars; the axis' row, the first bar's left side. */
export const chartLayout = { unit: 12, width: 12, pitch: 16, axis: 120, left: 18 } as const;

/** Draws a scene, always to the same bytes. */
export function renderScene(scene: Scene): SceneImage {
  const canvas = new Canvas(scene.background, scene.contrast);
  if (scene.kind === 'objects') for (const object of scene.objects) canvas.shape(object);
  else if (scene.kind === 'number') {
    const { digits, x, y, scale, colour } = scene;
    for (const [place, digit] of digits.entries()) {
      for (const [row, bits] of (digitRows[digit] as readonly number[]).entries()) {
        for (let column = 0; column < 3; column++) {
          if ((bits >> (2 - column)) & 1) {
            canvas.box(x + (4 * place + column) * scale, y + row * scale, scale, scale, colours[colour]);
          }
        }
      }
    }
  } else {
    const { unit, width, pitch, axis, left } = chartLayout;
    for (const [index, { colour, value }] of scene.bars.entries()) {
      canvas.box(left + index * pitch, axis - value * unit, width, value * unit, colours[colour]);
    }
    const grey: Rgb = [130, 130, 130];
    canvas.box(left - 6, axis - 9 * unit, 1, 9 * unit + 2, grey);
    canvas.box(left - 6, axis + 1, imageSize - left, 1, grey);
    for (let value = 1; value <= 9; value++) canvas.box(left - 10, axis - value * unit, 4, 1, grey);
  }
  for (const [x0, y0, x1, y1] of scene.lines) canvas.line(x0, y0, x1, y1);
  canvas.addNoise(scene.noise, scene.noiseSeed);
  return { width: imageSize, height: imageSize, channels: 3, data: canvas.data };
}

class Canvas {
  readonly data: Uint8Array;
  readonly #background: number;
  readonly #contrast: number;

  constructor(background: number, contrast: number) {
    this.#background = background;
    this.#contrast = contrast;
    this.data = new Uint8Array(imageSize * imageSize * 3).fill(background);
  }

  shape({ noun, colour, x, y, radius }: SceneObject): void {
    const inside = shapes[noun];
    for (let v = -radius; v <= radius; v++) {
      for (let u = -radius; u <= radius; u++) if (inside(u, v, radius)) this.#set(x + u, y + v, colours[colour]);
    }
  }

  box(x: number, y: number, width: number, height: number, colour: Rgb): void {
    for (let row = y; row < y + height; row++) {
      for (let column = x; column < x + width; column++) this.#set(column, row, colour);
    }
  }

  /** Bresenham's line, in grey. */
  line(x0: number, y0: number, x1: number, y1: number): void {
    const [dx, dy] = [Math.abs(x1 - x0), -Math.abs(y1 - y0)];
    const [stepX, stepY] = [x0 < x1 ? 1 : -1, y0 < y1 ? 1 : -1];
    let [x, y, error] = [x0, y0, dx + dy];
    for (;;) {
      this.#set(x, y, [140, 140, 140]);
      if (x === x1 && y === y1) return;
      const twice = 2 * error;
      if (twice >= dy) {
        error += dy;
        x += stepX;
      }
      if (twice <= dx) {
        error += dx;
        y += stepY;
      }
    }
  }

  addNoise(amount: number, seed: number): void {
    if (amount === 0) return;
    const { data } = this;
    for (let at = 0; at < data.length; at += 16) {
      const words = philox([at, 0, 0, 0], [seed, 0]);
      for (let i = 0; i < 16; i++) {
        const byte = ((words[i >> 2] as number) >>> (8 * (i & 3))) & 255;
        const moved = (data[at + i] as number) + ((byte * (2 * amount + 1)) >> 8) - amount;
        data[at + i] = Math.min(Math.max(moved, 0), 255);
      }
    }
  }

  #set(x: number, y: number, colour: Rgb): void {
    if (x < 0 || y < 0 || x >= imageSize || y >= imageSize) return;
    const at = (y * imageSize + x) * 3;
    for (let channel = 0; channel < 3; channel++) {
      const full = colour[channel] as number;
      this.data[at + channel] = (full * this.#contrast + this.#background * (256 - this.#contrast)) >> 8;
    }
  }
}

import { RandomStream } from '@saccade/core';

/** Pixels of a side, as `tools/oracle/tiny_shapes.py` draws them. */
export const size = 32;
/** Shapes times colours times surfaces. */
export const classes = 16;
const choicesPerPicture = 12;

/** What a picture is drawn from. */
export interface Choice {
  readonly label: number;
  /** Numbers in [0, 1). */
  readonly numbers: readonly number[];
}

/** The choices of the pictures of a seed from number `first` on. */
export function choices(seed: number, first: number, count: number): Choice[] {
  return Array.from({ length: count }, (_, index) => {
    const stream = new RandomStream(seed, first + index);
    return {
      label: stream.integer(classes),
      numbers: Array.from({ length: choicesPerPicture }, () => stream.next()),
    };
  });
}

const clamp = (value: number) => Math.min(1, Math.max(0, value));
const turned = (hue: number) => ((hue % 1) + 1) % 1;

function colour(hue: number, saturation: number, value: number): [number, number, number] {
  const channel = (offset: number) => {
    const sector = (offset + 6 * hue) % 6;
    return value * (1 - saturation * clamp(Math.min(sector, 4 - sector)));
  };
  return [channel(5), channel(3), channel(1)];
}

function distance(shape: number, x: number, y: number, radius: number): number {
  const round = Math.hypot(x, y);
  if (shape === 0) return round - radius;
  if (shape === 1) return Math.max(Math.abs(x), Math.abs(y)) - 0.85 * radius;
  if (shape === 2) return Math.max(y, 0.8660254037844386 * Math.abs(x) - 0.5 * y) - 0.6 * radius;
  return Math.abs(round - 0.75 * radius) - 0.25 * radius;
}

/** A picture: [3, size, size] in [-1, 1]. */
export function draw({ label, numbers }: Choice): Float32Array {
  const u = (index: number) => numbers[index] as number;
  const [shape, warm, striped] = [Math.floor(label / 4), Math.floor(label / 2) % 2 === 0, label % 2];
  const towards = 2 * Math.PI * u(0);
  const first = colour(u(1), 0.3, 0.35 + 0.3 * u(2));
  const second = colour(turned(u(1) + 0.15), 0.3, 0.65 + 0.3 * u(3));
  const [angle, away] = [2 * Math.PI * u(4), 6 + 3.5 * u(5)];
  const hue = turned(warm ? -0.04 + 0.2 * u(6) : 0.42 + 0.25 * u(6));
  const bright = colour(hue, 0.85, 0.8 + 0.2 * u(7));
  const [turn, radius] = [2 * Math.PI * u(8), 5 + 2.5 * u(9)];
  const picture = new Float32Array(3 * size * size);
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      const [xs, ys] = [column - (size - 1) / 2, row - (size - 1) / 2];
      const share = 0.5 + (xs * Math.cos(towards) + ys * Math.sin(towards)) / (1.5 * size);
      const pixel = first.map((value, channel) => value + ((second[channel] as number) - value) * share);
      for (const [side, scale] of [
        [1, 1],
        [-1, 0.6],
      ] as const) {
        const [dx, dy] = [xs - side * away * Math.cos(angle), ys - side * away * Math.sin(angle)];
        const [cos, sin] = [side * Math.cos(turn), side * Math.sin(turn)];
        const [x, y] = [cos * dx + sin * dy, cos * dy - sin * dx];
        const inside = clamp(0.5 - distance(shape, x, y, scale * radius));
        const dark = clamp(0.5 + 1.2 * Math.sin(2 * Math.PI * (x / (4 + u(10)) + u(11))));
        const light = 1 - 0.75 * striped * dark;
        for (const channel of [0, 1, 2]) {
          const before = pixel[channel] as number;
          pixel[channel] = before + inside * ((bright[channel] as number) * light - before);
        }
      }
      for (const channel of [0, 1, 2]) {
        picture[(channel * size + row) * size + column] = 2 * clamp(pixel[channel] as number) - 1;
      }
    }
  }
  return picture;
}

/** Half of the width and height: means of two by two pixels. */
export function halved(picture: Float32Array): Float32Array {
  const half = size / 2;
  return Float32Array.from({ length: 3 * half * half }, (_, at) => {
    const [channel, row, column] = [Math.floor(at / (half * half)), Math.floor(at / half) % half, at % half];
    const pixel = (dy: number, dx: number) =>
      picture[(channel * size + 2 * row + dy) * size + 2 * column + dx] as number;
    return (pixel(0, 0) + pixel(0, 1) + pixel(1, 0) + pixel(1, 1)) / 4;
  });
}

import { ArgumentError, RandomStream, type Seed } from '@saccade/core';
import {
  type Colour,
  colourNames,
  type Noun,
  nouns,
  themePercent,
  themes,
  usualColour,
  usualColourPercent,
} from './words.ts';

/** Pixels of a side of every image. */
export const imageSize = 128;

/** Difficulty: 1 (few shapes, each in a cell of its own) to 5 (heaps of overlapping shapes in noise). */
export type Level = 1 | 2 | 3 | 4 | 5;

export const levels: readonly Level[] = [1, 2, 3, 4, 5];

/** A shape in the image; later ones cover earlier ones. */
export interface SceneObject {
  readonly noun: Noun;
  readonly colour: Colour;
  /** Centre in pixels, from the upper left corner. */
  readonly x: number;
  readonly y: number;
  /** Half of its side, in pixels. */
  readonly radius: number;
}

/** What clutters an image besides its objects. */
export interface Clutter {
  /** Grey of the background, 0 to 255. */
  readonly background: number;
  /** Each channel of each pixel is moved by up to so much. */
  readonly noise: number;
  /** Thin grey lines, as (x, y) of both ends. */
  readonly lines: readonly (readonly [number, number, number, number])[];
  /** Of 256: how much of an object's colour is left; the rest is background. */
  readonly contrast: number;
}

interface Common extends Clutter {
  readonly level: Level;
  /** Draws the noise. */
  readonly noiseSeed: number;
}

/** Coloured shapes. */
export interface ObjectScene extends Common {
  readonly kind: 'objects';
  /** From back to front. */
  readonly objects: readonly SceneObject[];
}

/** A number of two or three digits. */
export interface NumberScene extends Common {
  readonly kind: 'number';
  readonly digits: readonly number[];
  readonly colour: Colour;
  /** Upper left corner of the first digit, in pixels. */
  readonly x: number;
  readonly y: number;
  /** Pixels per dot of the digits, which are 3 x 5 dots; the pitch is 4 dots. */
  readonly scale: number;
}

/** A bar chart with a bar of each of several colours. */
export interface ChartScene extends Common {
  readonly kind: 'chart';
  /** Left to right; values from 1 to 9. */
  readonly bars: readonly { readonly colour: Colour; readonly value: number }[];
}

export type Scene = ObjectScene | NumberScene | ChartScene;

/** Per level: objects from and to, jitter of positions and of grid cells, how close two may be, noise, lines, contrast. */
const recipes = {
  1: { objects: [1, 4], free: false, jitter: 0, radii: [7], closeness: 100, noise: 0, lines: 0, contrast: 256 },
  2: { objects: [2, 6], free: false, jitter: 3, radii: [7, 10], closeness: 100, noise: 6, lines: 0, contrast: 256 },
  3: { objects: [4, 9], free: true, jitter: 0, radii: [7, 10], closeness: 90, noise: 12, lines: 1, contrast: 240 },
  4: { objects: [8, 14], free: true, jitter: 0, radii: [7, 9, 12], closeness: 60, noise: 24, lines: 3, contrast: 215 },
  5: { objects: [14, 22], free: true, jitter: 0, radii: [6, 9, 13], closeness: 25, noise: 40, lines: 6, contrast: 180 },
} as const;

const cell = 16;
const cells = imageSize / cell;

/** What kind of scene to draw; `any` is shapes seven times of ten. */
export type SceneKind = Scene['kind'] | 'any';

/**
 * A scene drawn by seed: the same seed, level and kind give the same scene everywhere.
 * @throws ArgumentError for a level that does not exist
 */
export function drawScene(seed: Seed, level: Level, kind: SceneKind = 'any'): Scene {
  if (!levels.includes(level)) throw new ArgumentError('drawScene: level', level, 'a whole number from 1 to 5');
  const random = new RandomStream(seed, level);
  const at = random.integer(100);
  const drawn = kind === 'any' ? (at < 70 ? 'objects' : at < 85 ? 'number' : 'chart') : kind;
  const recipe = recipes[level];
  const point = () => random.integer(imageSize);
  const common: Common = {
    level,
    noiseSeed: random.integer(2 ** 32),
    background: 20 + random.integer(50),
    noise: recipe.noise,
    lines: Array.from({ length: recipe.lines }, () => [point(), point(), point(), point()] as const),
    contrast: recipe.contrast,
  };
  if (drawn === 'number') return numberScene(random, common);
  if (drawn === 'chart') return chartScene(random, common);
  return { kind: 'objects', ...common, objects: placeObjects(random, level) };
}

function weighted<T>(random: RandomStream, items: readonly (readonly [T, number])[]): T {
  let left = random.integer(items.reduce((sum, [, weight]) => sum + weight, 0));
  for (const [item, weight] of items) {
    if (left < weight) return item;
    left -= weight;
  }
  throw new Error('The weights do not add up.');
}

const oneOf = <T>(random: RandomStream, items: readonly T[]) => items[random.integer(items.length)] as T;

function placeObjects(random: RandomStream, level: Level): SceneObject[] {
  const { objects: range, free, jitter, radii, closeness } = recipes[level];
  const count = range[0] + random.integer(range[1] - range[0] + 1);
  const theme = weighted(
    random,
    themes.map((each) => [each, each.weight] as const),
  );
  const placed: SceneObject[] = [];
  // A crowded image may have no room left; it stays with what it has.
  for (let attempt = 0; placed.length < count && attempt < 40 * count; attempt++) {
    const radius = oneOf(random, radii);
    const margin = radius + 1;
    const coordinate = () =>
      free
        ? margin + random.integer(imageSize - 2 * margin)
        : Math.min(
            Math.max(random.integer(cells) * cell + cell / 2 + random.integer(2 * jitter + 1) - jitter, margin),
            imageSize - margin,
          );
    const [x, y] = [coordinate(), coordinate()];
    const tooClose = placed.some((other) => {
      const least = (radius + other.radius) * closeness;
      return Math.max(Math.abs(x - other.x), Math.abs(y - other.y)) * 100 < least;
    });
    if (tooClose) continue;
    const noun = random.integer(100) < themePercent ? weighted(random, theme.nouns) : oneOf(random, nouns);
    const colour = random.integer(100) < usualColourPercent ? usualColour(noun) : oneOf(random, colourNames);
    placed.push({ noun, colour, x, y, radius });
  }
  return placed;
}

function numberScene(random: RandomStream, common: Common): NumberScene {
  const digits = Array.from({ length: 2 + random.integer(2) }, () => random.integer(10));
  // The first level has a digit in each cell of the grid, as its shapes are.
  const scale = common.level === 1 ? 4 : 3 + random.integer(3);
  const width = digits.length * 4 * scale;
  const x = random.integer(imageSize - width);
  const y = random.integer(imageSize - 5 * scale);
  const aligned = (value: number) => value - (value % cell) + 2;
  const [left, top] = common.level === 1 ? [aligned(x), Math.min(aligned(y), imageSize - 22)] : [x, y];
  return { kind: 'number', ...common, digits, colour: oneOf(random, colourNames), x: left, y: top, scale };
}

function chartScene(random: RandomStream, common: Common): ChartScene {
  const count = 2 + random.integer(common.level < 3 ? 3 : 5);
  const values = Array.from({ length: 9 }, (_, index) => index + 1);
  const chosen = random.shuffle(values);
  const bars = random
    .shuffle(colourNames)
    .slice(0, count)
    .map((colour, index) => ({ colour, value: chosen[index] as number }));
  return { kind: 'chart', ...common, bars };
}

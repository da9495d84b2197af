import { RandomStream } from '@saccade/core';
import { renderScene, type SceneImage } from '../src/scenes/draw.ts';
import { imageSize, type NumberScene, type ObjectScene, type SceneObject } from '../src/scenes/scene.ts';
import { colourNames, nouns } from '../src/scenes/words.ts';
import { cellWords } from './cell-words.ts';

/** How many galleries there are. */
export const galleryCount = 6000;

const cell = 16;

/**
 * An image for the encoder alone, with the words of its cells: shapes in half of all cells, or rows of digits. Nouns, colours and
 * digits are equally frequent, so that it learns what is there and not what is usual.
 */
export function drawGallery(seed: number): { readonly image: SceneImage; readonly cells: string[][] } {
  const random = new RandomStream(seed, 21);
  const common = {
    level: 1,
    noiseSeed: random.integer(2 ** 32),
    background: 20 + random.integer(50),
    noise: random.integer(28),
    lines: [],
    contrast: 200 + random.integer(57),
  } as const;
  if (random.integer(4) > 0) {
    const objects = random.shuffle(
      Array.from({ length: (imageSize / cell) ** 2 }, (_, index) => index).flatMap((index): SceneObject[] => {
        if (random.integer(2) === 0) return [];
        const radius = 6 + random.integer(5);
        const at = (place: number) =>
          Math.min(Math.max(place * cell + random.integer(cell), radius + 1), imageSize - radius - 1);
        const [x, y] = [at(index % 8), at(Math.floor(index / 8))];
        return [{ noun: oneOf(random, nouns), colour: oneOf(random, colourNames), x, y, radius }];
      }),
    );
    const scene: ObjectScene = { kind: 'objects', ...common, objects };
    return { image: renderScene(scene), cells: cellWords(scene) };
  }
  return digitRows(random, common);
}

function digitRows(
  random: RandomStream,
  common: Omit<NumberScene, 'kind' | 'digits' | 'colour' | 'x' | 'y' | 'scale'>,
) {
  const rows: NumberScene[] = [];
  for (let y = random.integer(8); ; ) {
    const scale = 3 + random.integer(3);
    if (y + 5 * scale >= imageSize) break;
    const count = Math.floor(imageSize / (4 * scale)) - 1;
    const digits = Array.from({ length: count }, () => random.integer(10));
    const x = random.integer(imageSize - count * 4 * scale + scale);
    rows.push({ kind: 'number', ...common, noise: 0, digits, colour: oneOf(random, colourNames), x, y, scale });
    y += 5 * scale + 4 + random.integer(12);
  }
  const empty: ObjectScene = { kind: 'objects', ...common, objects: [] };
  const image = renderScene(empty);
  const cells = cellWords(empty);
  for (const row of rows) {
    // Its digits alone are put over the noise.
    for (const [at, value] of renderScene(row).data.entries()) if (value !== common.background) image.data[at] = value;
    for (const [index, words] of cellWords(row).entries()) if (words.length > 0) cells[index] = words;
  }
  return { image, cells };
}

const oneOf = <T>(random: RandomStream, items: readonly T[]) => items[random.integer(items.length)] as T;

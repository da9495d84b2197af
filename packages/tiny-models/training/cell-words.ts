import { chartLayout } from '../src/scenes/draw.ts';
import { imageSize, type Scene } from '../src/scenes/scene.ts';

const cell = 16;
const cells = imageSize / cell;

/**
 * What each of the 8 x 8 cells shows, in words: that of an object's centre its colour and noun, that of a digit's centre the digit,
 * that of a bar's top the bar's colour, `bar` and its value. Other cells have no words. The first stage of training teaches the image
 * encoder to say them.
 */
export function cellWords(scene: Scene): string[][] {
  const words: string[][] = Array.from({ length: cells * cells }, () => []);
  const put = (x: number, y: number, ...said: string[]) => {
    words[Math.floor(y / cell) * cells + Math.floor(x / cell)] = said;
  };
  if (scene.kind === 'objects') for (const { x, y, colour, noun } of scene.objects) put(x, y, colour, noun);
  else if (scene.kind === 'number') {
    for (const [place, digit] of scene.digits.entries()) {
      put(scene.x + (8 * place + 3) * (scene.scale / 2), scene.y + 2.5 * scene.scale, `${digit}`);
    }
  } else {
    const { unit, width, pitch, axis, left } = chartLayout;
    for (const [index, { colour, value }] of scene.bars.entries()) {
      put(left + index * pitch + width / 2, axis - value * unit + 4, colour, 'bar', `${value}`);
    }
  }
  return words;
}

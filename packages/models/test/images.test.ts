import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { type ResampleFilter, type RgbImage, resizeImage } from '@saccade/core';
import { parseGoldenTensors } from '@saccade/core/testing';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { type PatchLayout, patchNumber, patchRows } from '../src/images/patches.ts';
import { processImage } from '../src/images/process-image.ts';
import { clipNormalisation, type ImageProcessorConfig, plainNormalisation } from '../src/images/processor-config.ts';
import { loadImage } from '../src/index.ts';
import { gridPositions } from '../src/vision/grid-positions.ts';
import { goldenPath } from './golden-folder.ts';

const golden = parseGoldenTensors(readFileSync(goldenPath('images/pixels.safetensors')));
const file = (name: string) => goldenPath(`images/${name}`);

function pixels(name: string): RgbImage {
  const { shape, data } = golden(name);
  const [height, width] = shape as [number, number];
  return { height, width, data: Uint8Array.from(data) };
}

/** Largest difference of two lists. */
function difference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(actual.length).toBe(expected.length);
  let most = 0;
  for (let index = 0; index < expected.length; index++) {
    most = Math.max(most, Math.abs((actual[index] as number) - (expected[index] as number)));
  }
  return most;
}

describe('resize', () => {
  const sizes = [
    [20, 31],
    [60, 50],
    [47, 10],
    [5, 120],
  ] as const;
  for (const filter of ['bilinear', 'bicubic', 'lanczos'] as const satisfies ResampleFilter[]) {
    it(`${filter}: torchvision's bytes exactly, Pillow's within a few`, () => {
      for (const [height, width] of sizes) {
        const { data } = resizeImage(pixels('resized'), height, width, filter);
        expect([height, width, difference(data, golden(`torch.${filter}.${height}.${width}`).data)]).toEqual([
          height,
          width,
          0,
        ]);
        expect(difference(data, golden(`pillow.${filter}.${height}.${width}`).data)).toBeLessThanOrEqual(6);
      }
    });
  }

  it('leaves an image of that size as it is', () => {
    const image = pixels('resized');
    expect(resizeImage(image, image.height, image.width, 'lanczos')).toBe(image);
  });
});

/** The processors of the golden data. */
const processors: Readonly<Record<string, { config: ImageProcessorConfig; layout?: Partial<PatchLayout> }>> = {
  clip: {
    config: {
      ...clipNormalisation,
      kind: 'crop',
      filter: 'bicubic',
      resize: { shortestEdge: 28 },
      crop: { height: 28, width: 28 },
      padToSquare: false,
    },
  },
  'clip-wide-crop': {
    config: {
      ...clipNormalisation,
      kind: 'crop',
      filter: 'bicubic',
      resize: { shortestEdge: 20 },
      crop: { height: 28, width: 28 },
      padToSquare: false,
    },
  },
  'llava-pad': {
    config: {
      ...clipNormalisation,
      kind: 'crop',
      filter: 'bicubic',
      resize: { shortestEdge: 28 },
      crop: { height: 28, width: 28 },
      padToSquare: true,
    },
  },
  idefics3: {
    config: { ...plainNormalisation, kind: 'tiles', filter: 'lanczos', longestEdge: 64, tile: 32, split: true },
  },
  'idefics3-whole': {
    config: { ...plainNormalisation, kind: 'tiles', filter: 'lanczos', longestEdge: 64, tile: 32, split: false },
  },
  'qwen2-vl': {
    config: {
      ...clipNormalisation,
      kind: 'dynamic',
      filter: 'bicubic',
      minimumPixels: 256,
      maximumPixels: 1024,
      multiple: 8,
    },
    layout: { size: 4, group: 2, frames: 2 },
  },
};

describe('image processors', () => {
  for (const [name, { config, layout }] of Object.entries(processors)) {
    it(`${name}: transformers' pixel values to 1e-3, down, up, thin and of one pixel`, () => {
      for (let index = 0; index < 4; index++) {
        const expected = golden(`${name}.${index}`);
        const image = pixels(`picture.${index}`);
        if (name === 'qwen2-vl' && Math.max(image.width, image.height) / Math.min(image.width, image.height) > 200)
          continue;
        const { pictures } = processImage(image, config);
        // One patch of the whole picture holds its pixels colour by colour; Qwen2-VL's are patches themselves.
        const rows = pictures.flatMap((picture) => [
          ...patchRows(picture, {
            size: layout?.size ?? picture.height,
            group: layout?.group ?? 1,
            frames: layout?.frames ?? 1,
            mean: config.mean,
            deviation: config.deviation,
          }),
        ]);
        expect([name, index, difference(rows, expected.data) < 1e-3]).toEqual([name, index, true]);
      }
    });
  }

  it('refuses a strip that Qwen2-VL cannot take', () => {
    const strip = { width: 402, height: 2, data: new Uint8Array(402 * 2 * 3) };
    const { config } = processors['qwen2-vl'] as { config: ImageProcessorConfig };
    expect(() => processImage(strip, config)).toThrow(expect.objectContaining({ name: 'ImageError', code: 'invalid' }));
  });
});

describe('patches', () => {
  it('come in squares, one behind the other', () => {
    expect([0, 1, 4, 5].map((column) => patchNumber(0, column, 6, 2))).toEqual([0, 1, 8, 9]);
    expect(patchNumber(1, 0, 6, 2)).toBe(2);
    expect(patchNumber(2, 0, 6, 2)).toBe(12);
  });

  it('find the learned positions that Idefics3 gives them', () => {
    const { rows } = JSON.parse(readFileSync(file('positions.json'), 'utf8')) as {
      rows: [side: number, count: number, positions: number[]][];
    };
    for (const [side, count, expected] of rows) {
      expect([side, count, ...gridPositions(count, side)]).toEqual([side, count, ...expected]);
    }
  });
});

describe('picture files', () => {
  it.each([
    ['rgb.png', 0],
    ['grey.png', 0],
    ['alpha.png', 0],
    ['grey-alpha.png', 0],
    ['palette.png', 0],
    ['bits.png', 0],
    ['grey-16.png', 0],
    ['lossless.webp', 0],
    ['animated.gif', 0],
    ['pixel.png', 0],
    ['smooth.jpg', 2],
    ['turned.jpg', 2],
    ['cmyk.jpg', 0],
  ])('%s: the pixels that transformers reads, within %i', async (name, most) => {
    const expected = pixels(`file.${name}`);
    const image = await loadImage(file(name));
    expect([image.width, image.height]).toEqual([expected.width, expected.height]);
    expect(difference(image.data, expected.data)).toBeLessThanOrEqual(most);
  });

  it('CMYK with a profile: the colours that it tells, in RGB', async () => {
    const inks = await sharp(file('cmyk.jpg')).withIccProfile('cmyk').toColourspace('cmyk').jpeg().toBuffer();
    expect((await sharp(inks).metadata()).hasProfile).toBe(true);
    const { data, width, height } = await loadImage(inks);
    expect([width, height, data.length]).toEqual([9, 7, 189]);
    const managed = await sharp(inks).toColourspace('srgb').raw().toBuffer();
    expect(difference(data, managed)).toBe(0);
  });

  it('are given as bytes, a Blob, a path or a URL', async () => {
    const bytes = readFileSync(file('rgb.png'));
    const expected = pixels('file.rgb.png').data;
    const inputs = [
      new Uint8Array(bytes),
      bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer,
      new Blob([bytes]),
      file('rgb.png'),
      pathToFileURL(file('rgb.png')),
      `data:image/png;base64,${bytes.toString('base64')}`,
    ];
    for (const input of inputs) expect(difference((await loadImage(input)).data, expected)).toBe(0);
  });

  it.each([
    ['a truncated PNG', file('truncated.png'), 'unreadable'],
    ['a truncated JPEG', file('truncated.jpg'), 'unreadable'],
    ['text', new TextEncoder().encode('no picture'), 'unreadable'],
    ['nothing', new Uint8Array(0), 'unreadable'],
    ['no file', file('missing.png'), 'not-found'],
    ['a folder', file(''), 'not-found'],
    ['no address', 'http://127.0.0.1:9/picture.png', 'not-found'],
    ['another value', 5 as never, 'invalid'],
  ])('%s: an ImageError', async (_, input, code) => {
    await expect(loadImage(input)).rejects.toMatchObject({ name: 'ImageError', code });
  });

  it('refuses more pixels than are allowed, before they are decoded', async () => {
    // A vector picture of this size is a whole file, and would be 3 GB of pixels.
    const huge = new TextEncoder().encode('<svg xmlns="http://www.w3.org/2000/svg" width="32000" height="32000"/>');
    await expect(loadImage(huge)).rejects.toMatchObject({ name: 'ImageError', code: 'too-large' });
    // A header of 60000 x 60000 and no pixels.
    const hollow = new Uint8Array(readFileSync(file('pixel.png')));
    new DataView(hollow.buffer).setUint32(16, 60_000);
    new DataView(hollow.buffer).setUint32(20, 60_000);
    await expect(loadImage(hollow)).rejects.toMatchObject({
      name: 'ImageError',
      code: expect.stringMatching(/too-large|unreadable/),
    });
    await expect(loadImage(file('rgb.png'), { maximumPixels: 100 })).rejects.toMatchObject({ code: 'too-large' });
    const raw = { width: 20, height: 20, channels: 1 as const, data: new Uint8Array(400) };
    await expect(loadImage(raw, { maximumPixels: 399 })).rejects.toMatchObject({ code: 'too-large' });
  });
});

describe('raw pixels', () => {
  it('of one to four channels become RGB, transparency white', async () => {
    const of = async (channels: 1 | 2 | 3 | 4, ...data: number[]) => [
      ...(await loadImage({ width: 1, height: 1, channels, data: Uint8Array.from(data) })).data,
    ];
    expect(await of(1, 7)).toEqual([7, 7, 7]);
    expect(await of(2, 7, 0)).toEqual([255, 255, 255]);
    expect(await of(3, 1, 2, 3)).toEqual([1, 2, 3]);
    expect(await of(4, 1, 2, 3, 255)).toEqual([1, 2, 3]);
    expect(await of(4, 0, 100, 200, 128)).toEqual([127, 177, 227]);
  });

  it.each([
    ['width', { width: 0, height: 1, channels: 3, data: new Uint8Array(0) }],
    ['channels', { width: 1, height: 1, channels: 5, data: new Uint8Array(5) }],
    ['bytes', { width: 2, height: 2, channels: 3, data: new Uint8Array(11) }],
    ['bytes', { width: 1, height: 1, channels: 1, data: [3] }],
  ])('whose %s do not fit are refused', async (word, image) => {
    await expect(loadImage(image as never)).rejects.toMatchObject({ name: 'ImageError', code: 'invalid' });
    await expect(loadImage(image as never)).rejects.toThrow(new RegExp(word));
  });
});

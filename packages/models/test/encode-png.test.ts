import { inflateSync } from 'node:zlib';
import { ArgumentError, type RawImage } from '@saccade/core';
import { expect, it } from 'vitest';
import { encodePng } from '../src/images/encode-png.ts';
import { attentionOverlay } from '../src/vision-language/image-attention.ts';

/** Reads back what `encodePng` writes, with the library's own inflate. */
function readPng(file: Uint8Array) {
  expect([...file.subarray(0, 8)]).toEqual([137, 80, 78, 71, 13, 10, 26, 10]);
  const view = new DataView(file.buffer, file.byteOffset);
  const chunks: string[] = [];
  let [header, content] = [new Uint8Array(), new Uint8Array()];
  for (let at = 8; at < file.length; ) {
    const length = view.getUint32(at);
    const type = String.fromCharCode(...file.subarray(at + 4, at + 8));
    const body = file.slice(at + 8, at + 8 + length);
    chunks.push(type);
    if (type === 'IHDR') header = body;
    if (type === 'IDAT') content = body;
    at += length + 12;
  }
  expect(chunks).toEqual(['IHDR', 'IDAT', 'IEND']);
  const sizes = new DataView(header.buffer);
  return { width: sizes.getUint32(0), height: sizes.getUint32(4), type: header[9], rows: inflateSync(content) };
}

it.each([
  [1, 0],
  [2, 4],
  [3, 2],
  [4, 6],
] as const)('an image of %d channels comes back', async (channels, type) => {
  const data = Uint8Array.from({ length: 5 * 3 * channels }, (_, index) => (index * 37) % 256);
  const png = readPng(await encodePng({ width: 5, height: 3, channels, data }));
  expect([png.width, png.height, png.type]).toEqual([5, 3, type]);
  const stride = 5 * channels + 1;
  const rows = [0, 1, 2].map((y) => [...png.rows.subarray(y * stride, (y + 1) * stride)]);
  expect(rows.map(([filter]) => filter)).toEqual([0, 0, 0]);
  expect(rows.flatMap((row) => row.slice(1))).toEqual([...data]);
});

it('has the checksums of the standard, and refuses pixels that do not fit', async () => {
  const file = await encodePng({ width: 1, height: 1, channels: 1, data: Uint8Array.of(7) });
  // The checksum of an empty IEND is the same in every PNG file.
  expect([...file.slice(-4)]).toEqual([0xae, 0x42, 0x60, 0x82]);
  await expect(encodePng({ width: 2, height: 1, channels: 1, data: Uint8Array.of(7) })).rejects.toThrow(ArgumentError);
});

it('attention shows an image bright where it is large, and red in between', () => {
  const image: RawImage = { width: 4, height: 2, channels: 3, data: new Uint8Array(24).fill(100) };
  const { data, width, height } = attentionOverlay(image, { rows: 1, columns: 2, values: Float32Array.of(0, 0.5) });
  expect([width, height]).toEqual([4, 2]);
  expect([...data.subarray(0, 3)]).toEqual([25, 25, 25]);
  expect([...data.subarray(9, 12)]).toEqual([180, 100, 100]);
  const shared = attentionOverlay(image, { rows: 1, columns: 2, values: Float32Array.of(0, 0.5) }, { most: 1 });
  expect(shared.data[11]).toBe(62);
  const wrong = { rows: 2, columns: 2, values: Float32Array.of(1) };
  expect(() => attentionOverlay(image, wrong)).toThrow(ArgumentError);
});

it('an image that nothing looks at stays dark', () => {
  const image: RawImage = { width: 2, height: 1, channels: 1, data: Uint8Array.of(100, 200) };
  const { data } = attentionOverlay(image, { rows: 1, columns: 1, values: Float32Array.of(0) });
  expect([...data]).toEqual([25, 25, 25, 50, 50, 50]);
});

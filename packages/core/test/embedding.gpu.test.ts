import { describe, expect, it } from 'vitest';
import {
  blockSizes,
  cast,
  copyInto,
  dequantize,
  embedding,
  openGpu,
  quantizedDtypes,
  quantizedTensor,
  ShapeError,
} from '../src/index.ts';

import {
  assertClose,
  embeddingReference,
  modestGpu,
  randomArray,
  randomIntegers,
  sharedGpu,
} from '../src/testing/index.ts';
import { randomGguf } from './quantized-blocks.ts';

describe.each([
  ['full', sharedGpu],
  ['modest', modestGpu],
] as const)('embedding on the %s device', (_, open) => {
  it.each(['f32', 'f16', 'bf16'] as const)('looks up %s rows; ids beyond the vocabulary give zeros', async (dtype) => {
    const gpu = await open();
    const before = gpu.stats().liveBytes;
    for (const [vocabulary, columns] of [
      [1, 1],
      [7, 33],
      [101, 576],
    ] as const) {
      const weight = gpu.tensor(randomArray(vocabulary * columns, 51), [vocabulary, columns], dtype);
      const list = Uint32Array.of(...randomIntegers(10, 52, vocabulary), vocabulary, 4_294_967_295);
      const ids = gpu.tensor(list, [2, 6], 'u32');
      const rows = embedding(weight, ids);
      expect(rows.shape).toEqual([2, 6, columns]);
      assertClose(await rows.read(), embeddingReference(await weight.read(), columns, list), { name: dtype });
      for (const tensor of [weight, ids, rows]) tensor.dispose();
    }
    expect(gpu.stats().liveBytes).toBe(before);
  });

  it.each(quantizedDtypes)('dequantizes rows of %s', async (dtype) => {
    const gpu = await open();
    const [vocabulary, columns] = [13, blockSizes[dtype].elements === 256 ? 512 : 96];
    const blocks = (vocabulary * columns) / blockSizes[dtype].elements;
    const weight = quantizedTensor(gpu, dtype, [vocabulary, columns], randomGguf(dtype, blocks, 53));
    const full = dequantize(weight);
    const list = Uint32Array.of(12, 0, 5, 5, 13, 7);
    const ids = gpu.tensor(list, [6], 'u32');
    const rows = embedding(weight, ids);
    assertClose(await rows.read(), embeddingReference(await full.read(), columns, list), {
      relative: 1e-6,
      name: dtype,
    });
    for (const tensor of [weight, full, ids, rows]) tensor.dispose();
  });
});

it('looks up rows of a matrix over the binding limit', async () => {
  const gpu = await openGpu({ without: ['limits'], poison: true });
  const [vocabulary, columns] = [70_000, 512];
  const weight = gpu.zeros([vocabulary, columns]);
  expect(weight.storage.pieces.length).toBe(2);
  const marks = [0, 65_534, 65_535, 65_536, 69_999];
  const narrow = gpu.zeros([vocabulary, columns], 'bf16');
  const data = randomArray(columns, 54);
  gpu.tidy(() => {
    for (const mark of marks)
      copyInto(
        narrow.slice(0, mark, mark + 1),
        gpu.tensor(
          data.map((value) => value * (mark + 1)),
          [1, columns],
        ),
      );
    copyInto(weight, cast(narrow, 'f32'));
  });
  const list = [...marks, 3, 70_000];
  const rows = embedding(weight, gpu.tensor(list, [list.length], 'u32'));
  const expected = list.flatMap((id) => [...data].map((value) => (marks.includes(id) ? value * (id + 1) : 0)));
  assertClose(await rows.read(), expected, { relative: 2 ** -8 });
  gpu.dispose();
});

it('refuses what does not fit', async () => {
  const gpu = await sharedGpu();
  const weight = gpu.zeros([4, 32]);
  const vector = gpu.zeros([4]);
  const ids = gpu.zeros([3], 'u32');
  const signed = gpu.zeros([3], 'i32');
  const quantized = gpu.empty([4, 32], 'q8_0');
  const part = quantized.slice(0, 1, 3);
  expect(() => embedding(vector, ids)).toThrow(ShapeError);
  expect(() => embedding(weight, signed)).toThrow(ShapeError);
  expect(() => embedding(part, ids)).toThrow(ShapeError);
  for (const tensor of [weight, vector, ids, signed, quantized, part]) tensor.dispose();
});

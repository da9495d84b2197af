import { fileURLToPath } from 'node:url';
import { ArgumentError, contiguous, type Method, RefusedError, scale, type Tensor } from '@saccade/core';
import { assertClose, sharedGpu } from '@saccade/core/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { imageAttention, loadVisionLanguageModel, type VisionLanguageModel } from '../src/index.ts';

const folder = fileURLToPath(new URL('golden/idefics3', import.meta.url));
const image = {
  width: 32,
  height: 32,
  channels: 3,
  data: Uint8Array.from({ length: 3072 }, (_, i) => (i * 29) % 256),
} as const;
const prompt = { images: [image], text: 'What is it?' };

let model: VisionLanguageModel;
beforeAll(async () => {
  model = await loadVisionLanguageModel(await sharedGpu(), folder, { images: { split: false } });
});
afterAll(() => model.dispose());

it('is the mean over heads of the probabilities of the image’s tokens', async () => {
  const { gpu } = model;
  const before = gpu.stats().liveBytes;
  const found = await imageAttention(model, prompt);
  expect(found.map(({ layer }) => layer)).toEqual([0, 1, 2]);
  const encoded = await model.encode(prompt);
  const span = encoded.spans?.images[0];
  const rows: Tensor[] = [];
  const show = (pattern: Tensor) => {
    const [queries] = pattern.shape as [number];
    rows.push(gpu.keep(contiguous(pattern.slice(0, queries - 1, queries))));
  };
  (await model.prefill(encoded, { observe: { 'blocks.*.attention.pattern': show } })).dispose();
  for (const [layer, attention] of found.entries()) {
    const [, heads, keys] = (rows[layer] as Tensor).shape as [number, number, number];
    const pattern = await (rows[layer] as Tensor).read();
    const expected = (span?.positions ?? []).map((position) => {
      const own = Array.from({ length: heads }, (_, head) => pattern[head * keys + position] as number);
      return own.reduce((sum, value) => sum + value, 0) / heads;
    });
    assertClose(attention.values, expected, { absolute: 1e-6, relative: 1e-5 });
    expect([attention.rows, attention.columns]).toEqual([span?.rows, span?.columns]);
    expect(attention.mass).toBeGreaterThan(0);
    expect(attention.mass).toBeLessThan(1);
  }
  for (const each of [encoded, ...rows]) each.dispose();
  expect(gpu.stats().liveBytes).toBe(before);
});

it('takes some layers, another token, and a method that acts before', async () => {
  const [last] = await imageAttention(model, prompt, { layers: [2] });
  const all = await imageAttention(model, prompt);
  expect(last).toEqual(all[2]);
  const [earlier] = await imageAttention(model, prompt, { layers: [2], position: -3 });
  expect(earlier?.values).not.toEqual(last?.values);
  const method: Method = {
    name: 'halving',
    options: {},
    phases: ['prefill'],
    afterAttention: (_, { output }) => ({ output: scale(output, 0.5) }),
  };
  const changed = await imageAttention(model, prompt, { method });
  expect(changed[0]).toEqual(all[0]);
  expect(changed[1]?.values).not.toEqual(all[1]?.values);
});

it('shows probabilities that a method gives, and refuses one that attends by itself', async () => {
  const [, plain] = await imageAttention(model, prompt);
  const { heads } = model.facts;
  const given: Method = {
    name: 'giving',
    options: {},
    phases: ['prefill'],
    attend({ gpu, layer, queryLength, keyLength, spans, showsPattern }, _call, next) {
      expect(showsPattern).toBe(layer < 2);
      if (layer !== 1) return next();
      // The last token looks at the image's third token alone, with every head.
      const row = new Float32Array(keyLength);
      row[spans?.images[0]?.positions[2] as number] = 1;
      return next({
        givenProbabilities: {
          rows: gpu.tensor(
            Array.from({ length: heads }, (_, head) => [0, head, queryLength - 1]).flat(),
            [heads, 3],
            'u32',
          ),
          probabilities: gpu.tensor(Array.from({ length: heads }, () => [...row]).flat(), [heads, keyLength]),
        },
      });
    },
  };
  const [first, looking] = await imageAttention(model, prompt, { method: given, layers: [0, 1] });
  expect(first).toEqual((await imageAttention(model, prompt))[0]);
  expect([...(looking?.values ?? [])]).toEqual(Array.from(plain?.values ?? [], (_, cell) => Number(cell === 2)));
  const own: Method = {
    name: 'own',
    options: {},
    phases: ['prefill'],
    attend: ({ layer }, { q }, next) => (layer === 1 ? { output: contiguous(scale(q, 0)) } : next()),
  };
  await expect(imageAttention(model, prompt, { method: own })).rejects.toThrow(/by itself in layers 1 /);
});

it('refuses prompts without an image, and tokens that there are not', async () => {
  await expect(imageAttention(model, 'What is it?')).rejects.toThrow(RefusedError);
  await expect(imageAttention(model, prompt, { image: 1 })).rejects.toThrow(/no image 1/);
  await expect(imageAttention(model, prompt, { position: 1000 })).rejects.toThrow(ArgumentError);
});

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  contiguous,
  denseRows,
  type Method,
  OptionError,
  type RawImage,
  RefusedError,
  ShapeError,
  type Tensor,
} from '@saccade/core';
import { assertClose, parseGoldenTensors, sharedGpu } from '@saccade/core/testing';
import { loadVisionLanguageModel, type VisionLanguageModel } from '@saccade/models';
import { randomLlama } from '@saccade/models/testing';
import { beforeAll, expect, it, vi } from 'vitest';
import { carveEntry } from '../bench/index.ts';
import {
  type CarveOptions,
  type CarveResult,
  carve,
  contrastAttention,
  fuseMaps,
  recordAttention,
} from '../src/index.ts';
import { attentionRow } from '../src/reference.ts';

/* A random LLaVA of three layers: it shows that the parts fit. */
const folder = fileURLToPath(new URL('../../models/test/golden/llava', import.meta.url));
const few: CarveOptions = { layers: [1, 2], maxNewTokens: 3 };
const text = 'What is it?';

let model: VisionLanguageModel;
let image: RawImage;
let plain: CarveResult;
beforeAll(async () => {
  const { shape, data } = parseGoldenTensors(readFileSync(`${folder}/golden.safetensors`))('image_0');
  const [height = 0, width = 0] = shape;
  image = { height, width, channels: 3, data: Uint8Array.from(data) };
  model = await loadVisionLanguageModel(await sharedGpu(), folder, { sources: ['local'] });
  plain = await carve(model, { image, text }, few);
  return () => model.dispose();
});

async function answer(
  images: readonly RawImage[],
  method?: Method,
  asked = `${text} Answer the question using a single word or phrase.`,
) {
  let told = '';
  for await (const piece of model.generate({ text: asked, images }, { method, maxTokens: 3 })) told += piece.text;
  return told;
}

it('records what the newest token gives to the image, in each step and layer', async () => {
  const seen: { q: Tensor; k: Tensor; positions: readonly number[] }[] = [];
  const spy: Method = {
    name: 'spy',
    options: {},
    phases: ['prefill', 'decode'],
    attend({ gpu, layer, spans, queryLength, keyLength }, { q, keys }, next) {
      if (layer > 0)
        seen.push({
          q: gpu.keep(contiguous(q.slice(2, queryLength - 1, queryLength))),
          k: gpu.keep(contiguous(denseRows(keys, keyLength))),
          positions: spans?.images[0]?.positions ?? [],
        });
      return next();
    },
  };
  await answer([image], spy, text);
  const { maps } = await recordAttention(model, { text, images: [image] }, { layers: [1, 2], maxTokens: 3 });
  expect([maps.rows, maps.columns]).toEqual([4, 4]);
  const rows = maps.steps.flat();
  expect(rows).toHaveLength(seen.length);
  expect(rows.length).toBeGreaterThanOrEqual(2);
  const split = (values: ArrayLike<number>, size: number) =>
    Array.from({ length: values.length / size }, (_, row) => Array.from(values).slice(row * size, (row + 1) * size));
  for (const [index, { q, k, positions }] of seen.entries()) {
    const [queries, keys] = (await model.gpu.read([q, k])) as [Float32Array, Float32Array];
    const [, heads = 0, length = 0, size = 0] = k.shape;
    const byHead = Array.from({ length: heads }, (_, head) =>
      split(keys.subarray(head * length * size, (head + 1) * length * size), size),
    );
    const row = attentionRow(split(queries, size), byHead);
    assertClose(
      rows[index] as Float32Array,
      positions.map((position) => row[position] as number),
      { absolute: 1e-5 },
    );
    q.dispose();
    k.dispose();
  }
});

it('changes nothing in the first answer, and the last one is the model’s to both images', async () => {
  expect(plain.flat).toBe(false);
  expect(plain.originalAnswer).toBe(await answer([image]));
  expect(plain.refinedAnswer).toBe(await answer([image, { ...plain.refined, channels: 3 }]));
  const alone = await carve(model, { image, text }, { ...few, answerImages: 'refined' });
  expect(alone.refinedAnswer).toBe(await answer([{ ...plain.refined, channels: 3 }]));
  const kept = plain.mask.reduce((sum, value) => sum + value, 0) / plain.mask.length;
  expect(kept).toBeGreaterThan(0);
  expect(kept).toBeLessThanOrEqual(0.21);
  expect(plain.refined.height >= image.height && plain.refined.width >= image.width).toBe(true);
});

it('check 3: the general instruction as the question gives the image back', async () => {
  const same = await carve(model, { image, text, generalInstruction: text }, few);
  expect(same.flat).toBe(true);
  expect(same.refined.data).toEqual(image.data);
  expect(same.refinedAnswer).toBe(same.originalAnswer);
});

it('check 4: all pixels give the first answer again', async () => {
  const all = await carve(model, { image, text }, { ...few, topShare: 1, answerImages: 'refined' });
  expect(all.flat).toBe(false);
  expect(all.refined.data).toEqual(image.data);
  expect(all.refinedAnswer).toBe(plain.originalAnswer);
});

it('general attention serves further questions, and saves a pass', async () => {
  const generate = vi.spyOn(model, 'generate');
  const again = await carve(model, { image, text, general: plain.general }, few);
  expect(generate).toHaveBeenCalledTimes(2);
  generate.mockRestore();
  expect(again.saliency).toEqual(plain.saliency);
  expect(again.refinedAnswer).toBe(plain.refinedAnswer);
  await expect(carve(model, { image, text, general: plain.general }, { ...few, layers: [1] })).rejects.toThrow(
    ShapeError,
  );
});

it('first and last steps are parts of all', async () => {
  const [first, last] = [
    await carve(model, { image, text }, { ...few, steps: 'first' }),
    await carve(model, { image, text }, { ...few, steps: 'last' }),
  ];
  expect(first.general.steps).toHaveLength(1);
  expect(first.general.steps[0]).toEqual(plain.general.steps[0]);
  const onlyOne = await carve(model, { image, text }, { ...few, maxNewTokens: 1 });
  expect(first.saliency).toEqual(onlyOne.saliency);
  expect(last.general.steps).toEqual(plain.general.steps);
});

it.each(['all', 'first', 'last'] as const)('fuses the steps that it is told to: %s', async (steps) => {
  const asked = `${text} Answer the question using a single word or phrase.`;
  const { maps } = await recordAttention(model, { text: asked, images: [image] }, { layers: [1, 2], maxTokens: 3 });
  const pairs = Math.min(maps.steps.length, plain.general.steps.length);
  expect(pairs).toBeGreaterThan(1);
  const chosen = maps.steps.flatMap((own, step) => {
    const wanted = { all: step < pairs, first: step === 0, last: step === pairs - 1 }[steps];
    const general = plain.general.steps[step] ?? [];
    return wanted ? [own.map((map, layer) => contrastAttention(map, general[layer] as Float32Array, 1e-8))] : [];
  });
  const { saliency } = await carve(model, { image, text }, { ...few, steps });
  assertClose(saliency, fuseMaps(chosen, maps, image), { relative: 1e-5 });
  if (steps !== 'all') expect(saliency).not.toEqual(plain.saliency);
});

it('leaves nothing on the device', async () => {
  const { liveBytes } = model.gpu.stats();
  await carve(model, { image, text }, few);
  expect(model.gpu.stats().liveBytes).toBe(liveBytes);
});

it('the bench’s entry answers', async () => {
  const { signal } = new AbortController();
  const resolved = Object.fromEntries(
    Object.entries(carveEntry.options).map(([name, option]) => [name, option.default]),
  );
  const ask = carveEntry.answer({ ...resolved, ...few } as never);
  const told = await ask(model, { image, text }, { maxTokens: 3, signal });
  expect(told).toBe((await carve(model, { image, text, answerSuffix: '' }, few)).refinedAnswer);
});

it('refuses models without images, and options out of range', async () => {
  const blind = await randomLlama(await sharedGpu(), { layers: 2 });
  await expect(carve(blind, { image, text })).rejects.toThrow(RefusedError);
  blind.dispose();
  for (const options of [{ topShare: 0 }, { topShare: 1.1 }, { lambda: 0 }, { layers: [7] }, { p: 1 }])
    await expect(carve(model, { image, text }, options as never)).rejects.toThrow(OptionError);
});

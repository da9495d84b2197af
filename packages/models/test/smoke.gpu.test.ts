import { readFileSync } from 'node:fs';
import { attention, type Gpu, matmul, topK } from '@saccade/core';
import {
  assertClose,
  attentionReference,
  matmulReference,
  modestGpu,
  parseGoldenTensors,
  randomArray,
  sharedGpu,
  topKReference,
} from '@saccade/core/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadLanguageModel } from '../src/index.ts';
import { goldenPath } from './golden-folder.ts';
import { handingOn } from './handing-on.ts';

/* A little of everything, for adapters that the whole suite does not run on: see swiftshader.gpu.test.ts. */
describe.each([
  ['all that the adapter has', sharedGpu],
  ['WebGPU’s defaults', modestGpu],
])('smoke with %s', (_, open) => {
  let gpu: Gpu;
  beforeAll(async () => {
    gpu = await open();
  });

  it('multiplies matrices', async () => {
    const [m, k, n] = [17, 70, 33];
    const [a, b] = [randomArray(m * k, 1), randomArray(k * n, 2)];
    const product = gpu.tidy(() => matmul(gpu.tensor(a, [m, k]), gpu.tensor(b, [k, n])));
    assertClose(await product.read(), matmulReference(a, b, m, k, n), { absolute: 1e-4 });
    product.dispose();
  });

  it.each([
    ['a prompt', 20, undefined],
    ['a decode step', 1, undefined],
    ['a decode step on a token list', 1, [0, 7, 8, 40, 91]],
  ])('attends: %s', async (_name, queries, list) => {
    const sizes = { batches: 1, heads: 4, kvHeads: 2, queries, keys: 92, headSize: 24 };
    const q = randomArray(4 * queries * 24, 3);
    const [k, v] = [randomArray(2 * 92 * 24, 4), randomArray(2 * 92 * 24, 5)];
    const { output } = gpu.tidy(() => {
      const [qs, ks, vs] = [
        gpu.tensor(q, [1, 4, queries, 24]),
        gpu.tensor(k, [1, 2, 92, 24]),
        gpu.tensor(v, [1, 2, 92, 24]),
      ];
      if (!list) return attention(qs, ks, vs, { causal: true });
      const indices = gpu.tensor([...list, ...list], [1, 2, list.length], 'u32');
      return attention(qs, ks, vs, { causal: true, tokens: { indices, per: 'kvHead' } });
    });
    const expected = attentionReference({ ...sizes, q, k, v, causal: true, ...(list ? { tokens: () => list } : {}) });
    assertClose(await output.read(), expected.output, { absolute: 1e-5 });
    output.dispose();
  });

  it.each([
    ['a short row', 300, 9],
    ['a long row', 5000, 40],
  ])('selects the largest: %s', async (_name, size, k) => {
    const row = randomArray(size, 6);
    const { values, indices, counts } = gpu.tidy(() => topK(gpu.tensor(row, [1, size]), k));
    const expected = topKReference(row, k);
    expect(await indices.read()).toEqual(expected);
    expect([...(await values.read())]).toEqual([...expected].map((position) => row[position]));
    for (const tensor of [values, indices, counts]) tensor.dispose();
  });

  it('loads a model, gives its logits, and generates dense and sparse', async () => {
    const golden = parseGoldenTensors(readFileSync(goldenPath('llama-gguf/golden.safetensors')));
    const ids = [...golden('input_ids').data];
    const expected = golden('logits').data as Float32Array;
    const live = gpu.stats().liveBytes;
    const model = await loadLanguageModel(gpu, goldenPath('llama-gguf/model.gguf'));
    const logits = await model.logits(ids);
    assertClose(await logits.read(), expected, { absolute: 1e-4, relative: 1e-5 });
    logits.dispose();
    const row = expected.subarray(-model.facts.vocabularySize);
    for (const method of [undefined, handingOn]) {
      const generated: number[] = [];
      for await (const piece of model.generate(ids, { method, maxTokens: 3, ignoreEndOfText: true }))
        generated.push(...piece.ids);
      // The first token comes of the prompt, which either runs densely.
      expect([generated.length, generated[0]]).toEqual([3, row.indexOf(Math.max(...row))]);
    }
    model.dispose();
    expect(gpu.stats().liveBytes).toBe(live);
  });
});

if (process.env.SACCADE_ADAPTER === 'swiftshader') {
  it('runs on SwiftShader where that is asked for', async () => {
    const { description, device } = (await sharedGpu()).adapter;
    expect(`${device} ${description}`).toMatch(/swiftshader/i);
  });
}

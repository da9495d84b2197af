import { readFileSync } from 'node:fs';
import type { Gpu, Tensor } from '@saccade/core';
import {
  AdamW,
  CausalLm,
  type CausalLmConfig,
  huggingFaceConfig,
  Initializer,
  TokenWindows,
  train,
} from '@saccade/core/nn';
import { assertClose, parseGoldenTensors, sharedGpu } from '@saccade/core/testing';
import { loadLanguageModel, modelFilesFromUrls } from '@saccade/models';
import { expect, it } from 'vitest';
import { persuasionBytes } from '../src/index.ts';
import { volumes } from './novel.ts';

const file = (name: string) => readFileSync(persuasionBytes.files[name] as URL);

/** The shipped checkpoint, to be trained. */
function shipped(gpu: Gpu): CausalLm {
  const model = new CausalLm(new Initializer(gpu), {
    vocabularySize: 256,
    hiddenSize: 128,
    layers: 8,
    heads: 4,
    kvHeads: 2,
    intermediateSize: 352,
    contextLength: 1024,
  });
  model.loadSafetensors(file('model.safetensors'));
  return model;
}

it('the shipped checkpoint is fine-tuned on other text with falling loss', async () => {
  const gpu = await sharedGpu();
  const before = gpu.stats().liveBytes;
  const model = shipped(gpu);
  // Backwards it is a text that the model cannot know.
  const text = volumes().first.slice(0, 6000).reverse();
  const windows = new TokenWindows(text, { length: 64, batch: 4, seed: 1 });
  const optimizer = new AdamW(model.parameters(), { learningRate: 1e-3 });
  const { entries } = await train({
    module: model,
    optimizer,
    steps: 12,
    clip: 1,
    loss: ({ step }) => {
      const { ids, targets } = windows.tensors(gpu, step);
      return model.loss(ids, targets);
    },
  });
  const mean = (some: typeof entries) => some.reduce((sum, { loss }) => sum + loss, 0) / some.length;
  expect(mean(entries.slice(-3))).toBeLessThan(0.85 * mean(entries.slice(0, 3)));
  model.dispose();
  optimizer.dispose();
  expect(gpu.stats().liveBytes).toBe(before);
});

it("a trainable model loads PyTorch's checkpoint and has its logits", async () => {
  const gpu = await sharedGpu();
  const before = gpu.stats().liveBytes;
  const model = shipped(gpu);
  const golden = parseGoldenTensors(readFileSync(new URL('golden/persuasion-bytes.safetensors', import.meta.url)));
  const ids = golden('input_ids').data;
  const logits = gpu.tidy(() => model.forward(gpu.tensor(ids, [1, ids.length], 'u32')) as Tensor);
  assertClose(await logits.read(), golden('logits').data, { absolute: 2e-4, relative: 1e-4 });
  logits.dispose();
  model.dispose();
  expect(gpu.stats().liveBytes).toBe(before);
});

it.each([
  ['Llama', { queryKeyNorm: false, tieWordEmbeddings: true }],
  ['Qwen3', { queryKeyNorm: true, tieWordEmbeddings: false, ropeTheta: 500 }],
] as const)('a trainable model loads as a %s into a language model', async (_, chosen) => {
  const gpu = await sharedGpu();
  const config: CausalLmConfig = {
    vocabularySize: 256,
    hiddenSize: 32,
    layers: 2,
    heads: 4,
    kvHeads: 2,
    headSize: 16,
    intermediateSize: 40,
    contextLength: 64,
    initializerRange: 0.2,
    ...chosen,
  };
  const model = new CausalLm(new Initializer(gpu, { seed: 4 }), config);
  const address = (bytes: Uint8Array) =>
    new URL(`data:application/octet-stream;base64,${Buffer.from(bytes).toString('base64')}`);
  const files = modelFilesFromUrls('own', {
    'config.json': address(Buffer.from(JSON.stringify(huggingFaceConfig(config)))),
    'tokenizer.json': address(file('tokenizer.json')),
    'model.safetensors': address(await model.saveSafetensors()),
  });
  const loaded = await loadLanguageModel(gpu, files);
  const ids = [...new TextEncoder().encode('A week had not passed.')];
  const own = gpu.tidy(() => model.forward(gpu.tensor(ids, [1, ids.length], 'u32')) as Tensor);
  const theirs = await loaded.logits(ids);
  assertClose(await theirs.read(), await own.read(), { absolute: 1e-4, relative: 1e-4 });
  for (const each of [own, theirs, model, loaded]) each.dispose();
});

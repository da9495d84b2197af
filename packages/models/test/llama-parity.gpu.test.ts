import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Tensor } from '@saccade/core';
import { assertClose, parseGoldenTensors, sharedGpu } from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import { Transformer } from '../src/index.ts';
import { LanguageModel } from '../src/language-model/language-model.ts';
import { resolveModel } from '../src/resolve/resolve-model.ts';
import { ByteTokenizer } from '../src/testing/index.ts';
import { openWeights } from '../src/weights/open-weights.ts';
import { readModelConfig } from '../src/weights/read-model-config.ts';

const folder = (name: string) => fileURLToPath(new URL(`./golden/${name}`, import.meta.url));

async function open(name: string): Promise<LanguageModel> {
  const files = await resolveModel(name === 'llama-gguf' ? `${folder(name)}/model.gguf` : folder(name));
  const weights = await openWeights(files);
  try {
    const config = await readModelConfig(weights, files);
    const network = await Transformer.load(await sharedGpu(), name, config, weights);
    return new LanguageModel(network, new ByteTokenizer(config.vocabularySize));
  } finally {
    await weights.close();
  }
}

/** Logits are of size 10 to 30 here; f32 sums in another order differ by a few units of 1e-6 of that. */
const tolerance = { absolute: 1e-4, relative: 1e-5 };

describe('parity with transformers', () => {
  for (const name of [
    'llama-untied',
    'llama-tied-bf16',
    'llama-linear',
    'llama-llama3',
    'llama-mha-bf16',
    'llama-gguf',
  ]) {
    it(`${name}: prefill and step-by-step decode give its logits`, async () => {
      const golden = parseGoldenTensors(readFileSync(`${folder(name)}/golden.safetensors`));
      const model = await open(name);
      const { gpu } = model;
      const ids = [...golden('input_ids').data];
      const expected = golden('logits').data as Float32Array;
      const vocabulary = expected.length / ids.length;

      const logits = await model.logits(ids);
      expect(logits.shape).toEqual([ids.length, vocabulary]);
      assertClose(await logits.read(), expected, { ...tolerance, name: 'prefill' });
      logits.dispose();

      const prompt = await model.prefill(ids);
      assertClose(await prompt.nextLogits.read(), expected.subarray(-vocabulary), { ...tolerance, name: 'last row' });
      const steps = golden('continuation_logits').data as Float32Array;
      for (const [step, id] of [...golden('continuation_ids').data].entries()) {
        const result = model.forward([id], { cache: prompt.kv });
        const row = steps.subarray(step * vocabulary, (step + 1) * vocabulary);
        assertClose(await (result.logits as Tensor).read(), row, { ...tolerance, name: `step ${step}` });
        result.hidden.dispose();
        result.logits?.dispose();
      }
      prompt.dispose();

      // From an empty cache, every token a step of its own.
      const cache = model.createCache(ids.length);
      for (const [step, id] of ids.entries()) {
        const result = gpu.tidy(() => model.forward([id], { cache }).logits as Tensor);
        const row = expected.subarray(step * vocabulary, (step + 1) * vocabulary);
        assertClose(await result.read(), row, { ...tolerance, name: `token ${step}` });
        result.dispose();
      }
      cache.dispose();
      model.dispose();
    });
  }
});

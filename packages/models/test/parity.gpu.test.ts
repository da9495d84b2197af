import { readFileSync } from 'node:fs';
import { RefusedError, scale, type Tensor } from '@saccade/core';
import { assertClose, parseGoldenTensors, sharedGpu } from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import { Transformer, type TransformerLoadOptions } from '../src/index.ts';
import { LanguageModel } from '../src/language-model/language-model.ts';
import { ByteTokenizer } from '../src/testing/index.ts';
import { openWeights } from '../src/weights/open-weights.ts';
import { readModelConfig } from '../src/weights/read-model-config.ts';
import { goldenModel, goldenPath } from './golden-folder.ts';

async function open(name: string, options: TransformerLoadOptions = {}): Promise<LanguageModel> {
  const files = await goldenModel(name.endsWith('-gguf') ? `${name}/model.gguf` : name);
  const weights = await openWeights(files);
  try {
    const config = await readModelConfig(weights, files);
    const network = await Transformer.load(await sharedGpu(), name, config, weights, options);
    return new LanguageModel(network, new ByteTokenizer(config.vocabularySize));
  } finally {
    await weights.close();
  }
}

const goldenTensors = (name: string) => parseGoldenTensors(readFileSync(`${goldenPath(name)}/golden.safetensors`));

/** Logits are of size 10 to 30 here; f32 sums in another order differ by a few units of 1e-6 of that. */
const tolerance = { absolute: 1e-4, relative: 1e-5 };

describe('parity of decoders with transformers', () => {
  it.each([
    'llama-untied',
    'llama-tied-bf16',
    'llama-linear',
    'llama-llama3',
    'llama-mha-bf16',
    'llama-biased',
    'llama-gguf',
    'gemma3-bf16',
    'gemma3-capped',
    'gemma3-gguf',
    'qwen2-bf16',
    'qwen2-gguf',
    'qwen3-bf16',
    'qwen3-gguf',
    'gpt-neox-f16',
    'gpt-neox-sequential',
    'gpt2-f16',
    'gpt2-gguf',
    'gated-elementwise',
    'gated-headwise',
    'gated-per-head',
    'gated-separate',
  ])('%s: prefill and step-by-step decode give its logits', async (name) => {
    const golden = goldenTensors(name);
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
});

it('the gate of attention’s output can be seen and changed by name', async () => {
  const model = await open('gated-headwise');
  const ids = [...goldenTensors('gated-headwise')('input_ids').data];
  const { gpu, facts } = model;
  expect(facts.activations).toContain('attention.gate');
  const before = await model.logits(ids);
  const gates: Tensor[] = [];
  const seen = await model.logits(ids, {
    observe: { 'blocks.*.attention.gate': (gate) => void gates.push(gpu.keep(gate.alias())) },
  });
  assertClose(await seen.read(), (await before.read()) as Float32Array, { absolute: 1e-5, name: 'observed' });
  for (const gate of gates) {
    expect(gate.shape).toEqual([ids.length, 4, 1]);
    expect((await gate.read()).every((value) => value > 0 && value < 1)).toBe(true);
  }
  // A closed gate leaves the MLP alone.
  const closed = await model.logits(ids, { edit: { 'blocks.*.attention.gate': (gate) => scale(gate, 0) } });
  const silenced = await model.logits(ids, { edit: { 'blocks.*.attention.z': (z) => scale(z, 0) } });
  expect(await closed.read()).toEqual(await silenced.read());
  expect(await closed.read()).not.toEqual(await before.read());
  for (const tensor of [before, seen, closed, silenced, ...gates]) tensor.dispose();
  model.dispose();

  const plain = await open('qwen3-bf16');
  await expect(plain.logits(ids, { observe: { 'blocks.*.attention.gate': () => undefined } })).rejects.toThrow(
    /attention/,
  );
  plain.dispose();
});

describe('parity of encoders with transformers', () => {
  it.each(['bert', 'bert-headless'])('%s: hidden rows and logits, of one text and of a pair', async (name) => {
    const golden = goldenTensors(name);
    const model = await open(name);
    const ids = [...golden('input_ids').data];
    const logits = name === 'bert' ? 'all' : 'none';
    for (const [prefix, tokenTypes] of [
      ['', undefined],
      ['pair_', [...golden('token_types').data]],
    ] as const) {
      const result = model.forward(ids, { logits, ...(tokenTypes ? { tokenTypes } : {}) });
      assertClose(await result.hidden.read(), golden(`${prefix}hidden`).data, { ...tolerance, name: `${name} hidden` });
      if (result.logits) {
        assertClose(await result.logits.read(), golden(`${prefix}logits`).data, { ...tolerance, name: 'logits' });
      }
      result.hidden.dispose();
      result.logits?.dispose();
    }
    expect(model.facts.causal).toBe(false);
    if (name === 'bert-headless') await expect(model.logits(ids)).rejects.toThrow(/no output head/);
    model.dispose();
  });

  it('cannot continue a text, and says so', async () => {
    const model = await open('bert');
    expect(() => model.createCache(8)).toThrow(RefusedError);
    await expect(model.prefill([1, 2])).rejects.toThrow(/bidirectional/);
    expect(() => model.generate([1, 2])).toThrow(/bidirectional/);
    model.dispose();
  });
});

describe('dtype', () => {
  it.each([
    ['f32', 'llama-gguf', 1e-4],
    ['f16', 'gpt2-gguf', 0.1],
    ['f16', 'qwen3-bf16', 0.1],
  ] as const)('%s at load gives the logits of %s', async (dtype, name, absolute) => {
    const golden = goldenTensors(name);
    const model = await open(name, { dtype });
    const plain = await open(name);
    const logits = await model.logits([...golden('input_ids').data]);
    assertClose(await logits.read(), golden('logits').data, { absolute });
    if (dtype === 'f32') expect(model.weightBytes).toBeGreaterThan(3 * plain.weightBytes);
    logits.dispose();
    model.dispose();
    plain.dispose();
  });
});

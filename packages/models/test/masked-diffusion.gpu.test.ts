import { readFileSync } from 'node:fs';
import { ArgumentError, type DenoisingStep, type Method, RefusedError } from '@saccade/core';
import { assertClose, parseGoldenTensors, sharedGpu } from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import {
  type DenoiseOptions,
  loadMaskedDiffusionModel,
  MaskedDiffusionModel,
  ModelConfigError,
  Transformer,
} from '../src/index.ts';
import { ByteTokenizer } from '../src/testing/index.ts';
import type { MaskedDiffusionConfig } from '../src/weights/model-config.ts';
import { openWeights } from '../src/weights/open-weights.ts';
import { readModelConfig } from '../src/weights/read-model-config.ts';
import { goldenModel, goldenPath } from './golden-folder.ts';

const promptLength = 9;

async function open(name: string): Promise<MaskedDiffusionModel> {
  const files = await goldenModel(name);
  const weights = await openWeights(files);
  try {
    const config = await readModelConfig(weights, files);
    const network = await Transformer.load(await sharedGpu(), name, config, weights);
    const tokenizer = new ByteTokenizer(config.vocabularySize);
    return new MaskedDiffusionModel(network, tokenizer, config.maskedDiffusion as MaskedDiffusionConfig);
  } finally {
    await weights.close();
  }
}

const goldenTensors = (name: string) => parseGoldenTensors(readFileSync(`${goldenPath(name)}/golden.safetensors`));

const promptOf = (name: string) => [...goldenTensors(name)('input_ids').data].slice(0, promptLength);

describe.each(['llada-bf16', 'dream-bf16'])('%s', (name) => {
  it('has the logits of a network without a causal mask', async () => {
    const golden = goldenTensors(name);
    const model = await open(name);
    const logits = await model.logits([...golden('input_ids').data]);
    assertClose(await logits.read(), golden('logits').data, { absolute: 1e-4, relative: 1e-5 });
    logits.dispose();
    model.dispose();
  });
});

describe('the ids after each step', () => {
  const cases: [string, string, DenoiseOptions][] = [
    ['llada-bf16', 'greedy', { length: 12, blockLength: 4, steps: 6 }],
    ['llada-bf16', 'noisy', { length: 12, blockLength: 6, steps: 8, temperature: 0.8, seed: 3 }],
    ['llada-bf16', 'random', { length: 10, steps: 4, temperature: 0.5, algorithm: 'random', seed: 4 }],
    ['llada-bf16', 'guided', { length: 8, blockLength: 4, steps: 4, guidance: 1.5 }],
    [
      'dream-bf16',
      'maskgit',
      { length: 14, steps: 5, algorithm: 'maskgit-plus', temperature: 0.7, topP: 0.9, seed: 5 },
    ],
    ['dream-bf16', 'entropy', { length: 14, steps: 6, temperature: 0.3, algorithmTemperature: 0.5, seed: 6 }],
    ['dream-bf16', 'margin', { length: 9, steps: 4, algorithm: 'top-k-margin' }],
    ['dream-bf16', 'origin', { length: 14, steps: 5, algorithm: 'origin', temperature: 1, seed: 7 }],
  ];
  it.each(cases)('%s, %s: are those of the sampler in Python, from the same noise', async (name, key, options) => {
    const model = await open(name);
    const before = model.gpu.stats().liveBytes;
    const golden = [...goldenTensors(name)(`${key}.ids`).data];
    const seen: number[] = [];
    const shares: number[] = [];
    const { ids, promptTokens, steps } = await model.denoise(promptOf(name), {
      ...options,
      onStep: (step) => seen.push(...step.ids),
      onProgress: (share) => shares.push(share),
    });
    expect(seen).toEqual(golden);
    expect(ids).toEqual(golden.slice(-(options.length as number)));
    expect(ids).not.toContain(model.maskId);
    expect([promptTokens, steps]).toEqual([promptLength, options.steps]);
    expect([shares.length, shares.at(-1)]).toEqual([steps, 1]);
    expect(model.gpu.stats().liveBytes).toBe(before);
    model.dispose();
  });
});

describe('a method in a run', () => {
  it('is told the step, the steps of the run and the length of the prompt; both branches of guidance are one batch', async () => {
    const model = await open('llada-bf16');
    const seen: (DenoisingStep & { batch: number; queryLength: number; phase: string })[] = [];
    const between: number[] = [];
    const watching: Method = {
      name: 'watching',
      options: {},
      phases: ['denoise'],
      requires: { phases: ['denoise'], direction: 'bidirectional', denoisingSteps: 4 },
      layer(context, x, next) {
        const { batch, queryLength, phase } = context;
        if (context.layer === 0) seen.push({ ...(context.step as DenoisingStep), batch, queryLength, phase });
        return next(x);
      },
      step: (context) => {
        if (context.phase === 'denoise') between.push(context.step.index);
      },
    };
    const options = { length: 8, blockLength: 4, steps: 4, guidance: 1.5, method: watching };
    const { ids } = await model.denoise(promptOf('llada-bf16'), options);
    expect(ids).toEqual([...goldenTensors('llada-bf16')('guided.ids').data].slice(-8));
    const step = { count: 4, stage: 0, promptTokens: 9, batch: 2, queryLength: 17, phase: 'denoise' };
    expect(seen).toEqual([0, 1, 2, 3].map((index) => ({ index, ...step })));
    expect(between).toEqual([1, 2, 3]);
    await expect(model.denoise([1], { length: 3, steps: 3, method: watching })).rejects.toThrow(
      'watching cannot run on llada-bf16: needs 4 denoising steps; it has 3.',
    );
    model.dispose();
  });
});

describe('what cannot be', () => {
  it('is refused by name', async () => {
    const model = await open('dream-bf16');
    const refused = async (options: DenoiseOptions, text: string) => {
      await expect(model.denoise([1, 2], options)).rejects.toThrow(ArgumentError);
      await expect(model.denoise([1, 2], options)).rejects.toThrow(text);
    };
    await refused({ length: 0 }, 'denoise: length');
    await refused({ length: 10, blockLength: 4 }, 'a divisor of 10');
    await refused({ length: 10, blockLength: 5, steps: 3 }, 'a multiple of the 2 blocks');
    await refused({ topP: 0.5, algorithm: 'random' }, '1 with random');
    await refused({ algorithmTemperature: 1, algorithm: 'origin' }, '0 with origin');
    await refused({ algorithm: 'best' as 'random' }, 'low-confidence, random');
    await refused({ temperature: -1 }, 'denoise: temperature');
    await refused({ guidance: -1 }, 'denoise: guidance');
    await expect(model.denoise([], { length: 2 })).rejects.toThrow('at least one token');
    await expect(model.denoise([model.maskId], { length: 2 })).rejects.toThrow("but the mask's");
    expect(() => model.generate()).toThrow(RefusedError);
    await expect(loadMaskedDiffusionModel(model.gpu, await goldenModel('qwen2-bf16'))).rejects.toThrow(
      ModelConfigError,
    );
    model.dispose();
  });

  it('an aborted run frees what it held', async () => {
    const model = await open('llada-bf16');
    const before = model.gpu.stats().liveBytes;
    const controller = new AbortController();
    const onStep = () => controller.abort();
    await expect(model.denoise([1, 2], { length: 8, signal: controller.signal, onStep })).rejects.toThrow('abort');
    expect(model.gpu.stats().liveBytes).toBe(before);
    model.dispose();
  });
});

it('a run reads ids once, at its end', async () => {
  const model = await open('llada-bf16');
  const before = model.gpu.stats().readbacks;
  await model.denoise(promptOf('llada-bf16'), { length: 8, steps: 4, temperature: 1 });
  expect(model.gpu.stats().readbacks).toBe(before + 1);
  model.dispose();
});

it('text is written from nothing where the model needs no prompt', async () => {
  const model = await open('llada-bf16');
  const { ids, promptTokens } = await model.denoise('', { length: 6, steps: 2, guidance: 1 });
  expect([ids.length, promptTokens]).toEqual([6, 0]);
  model.dispose();
});

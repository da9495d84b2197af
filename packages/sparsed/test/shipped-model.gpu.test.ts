import { readFileSync } from 'node:fs';
import type { Method } from '@saccade/core';
import { sharedGpu } from '@saccade/core/testing';
import { type LanguageModel, type MaskedDiffusionModel, perplexity } from '@saccade/models';
import { loadTinyMaskedDiffusion, loadTinyModel, persuasionBytes, persuasionDiffusion } from '@saccade/tiny-models';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { selectBlocks } from '../src/index.ts';

let model: MaskedDiffusionModel;
let judge: LanguageModel;
const sizes = { length: 32, steps: 10 } as const;

/** Bytes of the novel's first volume, which the checkpoint has not seen. */
function passages(count: number, length: number): number[][] {
  const novel = readFileSync(new URL('../../../apps/bench/data/persuasion.txt', import.meta.url), 'utf8');
  const text = new TextEncoder().encode(novel.slice(0, novel.indexOf('\nChapter 13\n')));
  const stride = Math.floor((text.length - length) / count);
  return Array.from({ length: count }, (_, index) => [...text.subarray(index * stride, index * stride + length)]);
}

/** Sparse in the steps from `from` to before `to`, over blocks that each of them chooses by its own attention. */
const sparseIn = (from: number, to: number, select: number): Method => ({
  name: 'sparse-in',
  options: {},
  phases: ['denoise'],
  listsKeys: true,
  attend({ step, globalLayer }, { q, keys, options }, next) {
    if (!step || globalLayer < 0 || step.index < from || step.index >= to) return next();
    const promptLength = step.promptTokens ?? 0;
    const how = { blockSize: 16, select, isolated: true, selection: 'reference' } as const;
    return next({ blocks: selectBlocks(q, keys, { ...how, promptLength, where: options }) });
  },
});

beforeAll(async () => {
  const gpu = await sharedGpu();
  model = await loadTinyMaskedDiffusion(gpu, persuasionDiffusion);
  judge = await loadTinyModel(gpu, persuasionBytes);
});

afterAll(() => {
  model.dispose();
  judge.dispose();
});

it('check 8: sparse first steps leave less of the dense text than sparse last ones, and a worse one', {
  timeout: 240_000,
}, async () => {
  const prompts = passages(4, 96);
  const write = async (method?: Method) => {
    const texts: (readonly number[])[] = [];
    for (const [seed, prompt] of prompts.entries()) {
      texts.push((await model.denoise(prompt, { ...sizes, seed, method })).ids);
    }
    return texts;
  };
  const dense = await write();
  const agreement = (texts: readonly (readonly number[])[]) => {
    const equal = texts.flatMap((ids, text) => ids.filter((id, at) => id === dense[text]?.[at]));
    return equal.length / (sizes.length * texts.length);
  };
  /** Nats per byte of what was written, under the autoregressive model. */
  const loss = async (texts: readonly (readonly number[])[]) => {
    const losses: number[] = [];
    for (const [text, ids] of texts.entries()) {
      const prompt = prompts[text] as number[];
      losses.push(...(await perplexity(judge, [...prompt, ...ids])).losses.slice(prompt.length - 1));
    }
    return losses.reduce((sum, each) => sum + each, 0) / losses.length;
  };
  const border = 0.2 * sizes.steps;
  // A block of the prompt and one of what is written.
  const first = await write(sparseIn(0, border, 0.01));
  const last = await write(sparseIn(border, sizes.steps, 0.01));
  expect(agreement(first)).toBeLessThan(agreement(last) - 0.05);
  // By which the paper tells it.
  expect(await loss(first)).toBeGreaterThan((await loss(last)) + 0.1);
});

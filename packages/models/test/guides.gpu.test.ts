import { readFileSync } from 'node:fs';
import { sharedGpu } from '@saccade/core/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LanguageModel } from '../src/index.ts';
import { perplexity } from '../src/index.ts';
import { randomLlama } from '../src/testing/index.ts';
import { headAblation } from './guides/head-ablation.ts';
import { logitLens } from './guides/logit-lens.ts';

let model: LanguageModel;

beforeAll(async () => {
  model = await randomLlama(await sharedGpu(), { layers: 3, vocabularySize: 128 });
});

afterAll(() => model.dispose());

describe('named activations', () => {
  it('the guide shows the code that runs here', () => {
    const guide = readFileSync(new URL('../../../docs/guides/named-activations.md', import.meta.url), 'utf8');
    for (const example of ['logit-lens', 'head-ablation'])
      expect(guide).toContain(readFileSync(new URL(`./guides/${example}.ts`, import.meta.url), 'utf8'));
  });

  it('logit lens: the last layer gives the token that the model gives, earlier ones what fewer layers give', async () => {
    const lens = await logitLens(model, 'sky');
    expect(lens.length).toBe(3);
    for (const [index, text] of lens.entries()) {
      const { hidden, logits } = model.forward(model.encodePrompt('sky'), { layers: index + 1 });
      const row = (await logits?.read()) as Float32Array;
      hidden.dispose();
      logits?.dispose();
      expect(text).toBe(model.tokenizer.decode([row.indexOf(Math.max(...row))]));
    }
  });

  it('head ablation: every head matters, each differently', async () => {
    const ids = [5, 9, 30, 2, 41, 7];
    const whole = Math.log((await perplexity(model, ids)).perplexity);
    const losses = await headAblation(model, ids, 1);
    expect(losses.length).toBe(4);
    expect(new Set([whole, ...losses]).size).toBe(5);
  });
});

import { readFileSync } from 'node:fs';
import { type GenerateOptions, scale, type Tensor } from '@saccade/core';
import { sharedGpu } from '@saccade/core/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LanguageModel } from '../src/index.ts';
import { loadDiffusionModel, loadVisionLanguageModel, perplexity } from '../src/index.ts';
import { randomLlama } from '../src/testing/index.ts';
import { goldenPipeline } from './diffusion-files.ts';
import { goldenPath } from './golden-folder.ts';
import { continueAll } from './guides/batch.ts';
import { interview } from './guides/chat.ts';
import { paint } from './guides/diffusion.ts';
import { headAblation } from './guides/head-ablation.ts';
import { logitLens } from './guides/logit-lens.ts';
import { doubts } from './guides/logprobs.ts';
import { largestBatch } from './guides/memory.ts';
import { ask } from './guides/see.ts';
import { twin } from './guides/twin.ts';

let model: LanguageModel;

beforeAll(async () => {
  model = await randomLlama(await sharedGpu(), { layers: 3, vocabularySize: 128 });
});

afterAll(() => model.dispose());

describe('the README', () => {
  it('shows the code that runs here', () => {
    const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
    for (const example of ['batch', 'chat', 'diffusion', 'logprobs', 'memory', 'see'])
      expect(readme).toContain(readFileSync(new URL(`./guides/${example}.ts`, import.meta.url), 'utf8'));
  });

  it('texts together are continued as each alone', async () => {
    const prompts = ['sky', 'the birds'];
    const [sky] = await continueAll(model, ['sky']);
    const both = await continueAll(model, prompts);
    expect(both[0]).toBe(sky);
    expect(both[1]?.startsWith('the birds')).toBe(true);
  });

  it('a chat answers each question', async () => {
    expect(await interview(model, ['Why?', 'And how?'])).toHaveLength(2);
  });

  it('a random model doubts every token', async () => {
    const found = await doubts(model, 'sky', 1);
    expect(found.length).toBeGreaterThan(0);
    for (const line of found) expect(line.match(/\d\.\d\d/g)).toHaveLength(3);
  });

  it('a model that sees answers from a local folder', async () => {
    const picture = goldenPath('images/rgb.png');
    expect(typeof (await ask(await sharedGpu(), goldenPath('idefics3'), picture, 'What is this?'))).toBe('string');
  });

  it('an image of a class', async () => {
    using pipeline = await loadDiffusionModel(model.gpu, goldenPipeline());
    expect((await paint(pipeline, 2)).length).toBe(4 * 16 * 16);
  });

  it('the largest batch fits, and the next does not', async () => {
    const budget = (await model.estimateMemory({ context: 300, batch: 3 })).total;
    expect(await largestBatch(model, 300, budget)).toBe(3);
  });
});

describe('methods that look at images', () => {
  it('the guide shows the code that runs here', async () => {
    const guide = readFileSync(new URL('../../../docs/guides/methods-that-look-at-images.md', import.meta.url), 'utf8');
    expect(guide).toContain(readFileSync(new URL('./guides/twin.ts', import.meta.url), 'utf8'));
    const seeing = await loadVisionLanguageModel(await sharedGpu(), goldenPath('idefics3'));
    const encoded = await seeing.encode({ images: [goldenPath('images/rgb.png')], text: 'Hm?' });
    const continued = async (options: GenerateOptions) => {
      const ids: number[] = [];
      for await (const piece of seeing.generate(encoded, { ...options, maxTokens: 3, ignoreEndOfText: true })) {
        ids.push(...piece.ids);
      }
      return ids;
    };
    const doubled = (heads: Tensor) => scale(heads, 2);
    const edited = await continued({ edit: { 'blocks.1.attention.z': doubled } });
    expect(await continued({ method: twin(doubled, 1) })).toEqual(edited);
    encoded.dispose();
    seeing.dispose();
  });
});

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

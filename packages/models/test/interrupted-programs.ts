import { type Gpu, type Method, scorer, square, sum } from '@saccade/core';
import { loadDiffusionModel, loadLanguageModel } from '../src/index.ts';
import { randomLlama } from '../src/testing/index.ts';
import { goldenPipeline } from './diffusion-files.ts';
import { goldenPath } from './golden-folder.ts';
import { handingOn } from './handing-on.ts';

/** Something that uses a model from loading to disposing; returns all ids that it generated, or the bytes of its image. */
export type Program = (gpu: Gpu, signal?: AbortSignal) => Promise<number[]>;

/**
 * Loads a model from its file, runs a prompt and decodes twice from it. Over 512 tokens the prompt takes two chunks, behind
 * 1,016 the table of rotary positions grows, and with few tokens decoding takes more memory than prefill, as the cache grows.
 */
export const promptAndTokens =
  (promptTokens: number): Program =>
  async (gpu, signal) => {
    const model = await loadLanguageModel(gpu, goldenPath('llama-gguf/model.gguf'), { signal });
    try {
      const ids = Array.from({ length: promptTokens }, (_, index) => (index * 37) % model.facts.vocabularySize);
      using prompt = await model.prefill(ids, { reserve: 2, signal });
      const decoded: number[] = [];
      const options = { signal, maxTokens: 8, ignoreEndOfText: true };
      const sampled = { temperature: 0.8, topK: 20, repetitionPenalty: 1.3, seed: 7 };
      for await (const piece of model.generate(prompt, { ...options, method: handingOn })) decoded.push(...piece.ids);
      for await (const piece of model.generate(prompt, { ...options, ...sampled })) decoded.push(...piece.ids);
      return decoded;
    } finally {
      model.dispose();
    }
  };

/** Scores rows by the size of their keys, and evicts at the end of the prompt and behind every second token. */
const evicting: Method = scorer({
  name: 'key-norm',
  budget: 8,
  sinks: 1,
  recent: 2,
  every: 2,
  score: (_, { keys }) => sum(square(keys), { axis: 3 }),
});

/** A batch of unequal texts, two turns of a chat, and a method that evicts, on a model with a window layer. */
export const batchChatEviction: Program = async (gpu, signal) => {
  const window = { layerKinds: ['window', 'global'] as const, slidingWindow: 6 };
  const model = await randomLlama(gpu, { vocabularySize: 128, layers: 2, ...window });
  try {
    const ids: number[] = [];
    const options = { signal, maxTokens: 4, ignoreEndOfText: true };
    const sampled = { ...options, temperature: 0.7, repetitionPenalty: 1.2, logprobs: 2 };
    const texts = ['a few words', 'more', 'some words of another length'];
    for await (const piece of model.generate(texts, sampled)) ids.push(...piece.ids);
    using chat = model.chat();
    for (const text of ['Hello', 'And then?'])
      for await (const piece of chat.send(text, options)) ids.push(...piece.ids);
    for await (const piece of model.generate('a text that is evicted', { ...options, method: evicting }))
      ids.push(...piece.ids);
    return ids;
  } finally {
    model.dispose();
  }
};

/** Loads a diffusion model with its autoencoder and denoises an image under guidance, with previews and a method. */
export const denoisedImage: Program = async (gpu, signal) => {
  const pipeline = await loadDiffusionModel(gpu, goldenPipeline(), { signal });
  try {
    const narrow: Method = {
      name: 'narrow',
      options: {},
      phases: ['denoise'],
      attend: ({ step }, _call, next) => next(step?.index === 1 ? { slidingWindow: 3 } : undefined),
    };
    using result = await pipeline.generate({
      classLabel: 2,
      steps: 3,
      seed: 3,
      signal,
      method: narrow,
      onStep: async ({ preview }) => void (await preview()),
    });
    return [...(await result.rgba()).data];
  } finally {
    pipeline.dispose();
  }
};

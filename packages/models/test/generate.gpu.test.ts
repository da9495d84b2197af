import {
  ArgumentError,
  DisposedError,
  type GeneratedPiece,
  type GenerateOptions,
  type Method,
  type Prompt,
} from '@saccade/core';
import { assertClose, sharedGpu } from '@saccade/core/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LanguageModel, perplexity, scoreContinuation } from '../src/index.ts';
import { randomLlama } from '../src/testing/index.ts';

let model: LanguageModel;

beforeAll(async () => {
  model = await randomLlama(await sharedGpu(), { vocabularySize: 128 });
});

afterAll(() => model.dispose());

const prompt = [72, 101, 108, 108, 111];

async function pieces(given: Prompt, options: GenerateOptions = {}): Promise<GeneratedPiece[]> {
  const all: GeneratedPiece[] = [];
  for await (const piece of model.generate(given, { ignoreEndOfText: true, maxTokens: 12, ...options }))
    all.push(piece);
  return all;
}

const idsOf = (all: readonly GeneratedPiece[]) => all.flatMap((piece) => piece.ids);
const textOf = (all: readonly GeneratedPiece[]) => all.map((piece) => piece.text).join('');

describe('generate', () => {
  it('greedy: each token has the highest logit given all before it', async () => {
    const ids = idsOf(await pieces(prompt));
    expect(ids).toHaveLength(12);
    const logits = await model.logits([...prompt, ...ids.slice(0, -1)]);
    const rows = await logits.read();
    ids.forEach((id, step) => {
      const row = rows.subarray((prompt.length - 1 + step) * 128, (prompt.length + step) * 128);
      expect(row.indexOf(Math.max(...row))).toBe(id);
    });
    logits.dispose();
  });

  it('sampling: the same seed gives the same text, another seed another', async () => {
    const options = { temperature: 1.5, maxTokens: 16 };
    const [a, b, c] = [
      await pieces(prompt, { ...options, seed: 1 }),
      await pieces(prompt, { ...options, seed: 1 }),
      await pieces(prompt, { ...options, seed: 2 }),
    ];
    expect(a).toEqual(b);
    expect(idsOf(a)).not.toEqual(idsOf(c));
  });

  it('topK 1 and a tiny topP are greedy at any temperature', async () => {
    const greedy = idsOf(await pieces(prompt));
    expect(idsOf(await pieces(prompt, { temperature: 5, topK: 1 }))).toEqual(greedy);
    expect(idsOf(await pieces(prompt, { temperature: 1, topP: 1e-6 }))).toEqual(greedy);
  });

  it('a large repetition penalty never repeats a token while others are left', async () => {
    const ids = idsOf(await pieces(prompt, { repetitionPenalty: 1e6, maxTokens: 24 }));
    expect(new Set([...prompt, ...ids]).size).toBe(new Set(prompt).size + ids.length);
  });

  it('stops before a stop text and says so', async () => {
    const whole = textOf(await pieces(prompt));
    const stop = whole.slice(4, 6);
    const stopped = await pieces(prompt, { stop });
    expect(textOf(stopped)).toBe(whole.slice(0, whole.indexOf(stop)));
    expect(stopped.at(-1)?.finishReason).toBe('stop');
  });

  it('ends at an end-of-text token unless told to go on', async () => {
    const greedy = idsOf(await pieces(prompt));
    const ending = await randomLlama(await sharedGpu(), { vocabularySize: 128 });
    Object.assign(ending.tokenizer, { endOfTextIds: [greedy[3]] });
    const first = greedy.indexOf(greedy[3] as number);
    const all: GeneratedPiece[] = [];
    for await (const piece of ending.generate(prompt, { maxTokens: 12 })) all.push(piece);
    expect(idsOf(all)).toEqual(greedy.slice(0, first + 1));
    expect(all.at(-1)?.finishReason).toBe('endOfText');
    ending.dispose();
  });

  it('continues a prefill as it continues the prompt; forks are independent and leave it as it was', async () => {
    const cache = await model.prefill(prompt);
    const expected = idsOf(await pieces(prompt));
    expect(idsOf(await pieces(cache))).toEqual(expected);
    const fork = cache.fork();
    const sampled = idsOf(await pieces(fork, { temperature: 3, seed: 5 }));
    expect(sampled).not.toEqual(expected);
    fork.dispose();
    expect(idsOf(await pieces(cache))).toEqual(expected);
    expect(cache.kv.length).toBe(prompt.length);
    cache.dispose();
  });

  it('extends a prefill as if it had been one prompt', async () => {
    const cache = await model.prefill(prompt.slice(0, 3), { reserve: 1 });
    const extended = await model.extend(cache, prompt.slice(3));
    expect(extended.ids).toEqual(prompt);
    expect(idsOf(await pieces(extended))).toEqual(idsOf(await pieces(prompt)));
    extended.dispose();
    cache.dispose();
  });

  it('a prompt of several chunks gives the logits of one pass', async () => {
    const long = Array.from({ length: 700 }, (_, index) => (index * 31 + 7) % 128);
    const cache = await model.prefill(long);
    const whole = model.forward(long);
    const [chunked, once] = await model.gpu.read([cache.nextLogits, whole.logits as NonNullable<typeof whole.logits>]);
    assertClose(chunked as Float32Array, once as Float32Array, { absolute: 1e-3 });
    whole.hidden.dispose();
    whole.logits?.dispose();
    cache.dispose();
  });

  it('grows the cache of a prefill that left no room', async () => {
    const cache = await model.prefill(prompt, { reserve: 1 });
    expect(idsOf(await pieces(cache))).toEqual(idsOf(await pieces(prompt)));
    cache.dispose();
  });

  it('can be aborted, and frees what it held', async () => {
    const before = model.gpu.stats().liveBytes;
    const abort = new AbortController();
    const reading = (async () => {
      for await (const piece of model.generate(prompt, {
        signal: abort.signal,
        maxTokens: 50,
        ignoreEndOfText: true,
      })) {
        if (piece.ids.length > 0) abort.abort(new Error('enough'));
      }
    })();
    await expect(reading).rejects.toThrow('enough');
    for await (const _ of model.generate(prompt, { maxTokens: 50, ignoreEndOfText: true })) break;
    expect(model.gpu.stats().liveBytes).toBe(before);
  });

  it('takes one readback per generated token', async () => {
    const cache = await model.prefill(prompt);
    const before = model.gpu.stats().readbacks;
    await pieces(cache, { maxTokens: 9 });
    expect(model.gpu.stats().readbacks - before).toBe(9);
    cache.dispose();
  });

  it('refuses an empty prompt, ids outside the vocabulary, and a disposed model', async () => {
    await expect(pieces([])).rejects.toThrow(ArgumentError);
    await expect(pieces([128])).rejects.toThrow(/128.*\[0, 128\)/);
    const gone = await randomLlama(await sharedGpu(), { vocabularySize: 128, layers: 1 });
    gone.dispose();
    expect(() => gone.generate(prompt)).toThrow(DisposedError);
  });
});

describe('scoring', () => {
  it('perplexity and step-by-step scores agree with the logits', async () => {
    const ids = [...prompt, 3, 99, 17, 64];
    const logits = await model.logits(ids);
    const rows = await logits.read();
    const losses = ids.slice(1).map((id, step) => {
      const row = [...rows.subarray(step * 128, (step + 1) * 128)];
      return Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0)) - (row[id] as number);
    });
    logits.dispose();
    const whole = await perplexity(model, ids);
    assertClose(whole.losses, losses, { absolute: 1e-4 });
    const mean = losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
    assertClose([whole.perplexity], [Math.exp(mean)], { relative: 1e-4 });
    const cache = await model.prefill(prompt);
    const stepwise = await scoreContinuation(model, cache, ids.slice(prompt.length));
    assertClose(stepwise.losses, losses.slice(prompt.length - 1), { absolute: 1e-4 });
    cache.dispose();
    const phases: string[] = [];
    const watcher: Method = {
      name: 'watcher',
      options: {},
      phases: ['prefill', 'decode'],
      needs: ({ layer, phase }) => {
        if (layer === 0) phases.push(phase);
        return { keyMass: {}, entropy: true };
      },
    };
    const before = model.gpu.stats();
    const fromIds = await scoreContinuation(model, prompt, ids.slice(prompt.length), { method: watcher });
    assertClose(fromIds.losses, stepwise.losses, { absolute: 1e-5 });
    expect(phases).toEqual(['prefill', 'decode', 'decode', 'decode']);
    expect(model.gpu.stats().readbacks - before.readbacks).toBe(1);
    expect(model.gpu.stats().liveBytes).toBe(before.liveBytes);
  });
});

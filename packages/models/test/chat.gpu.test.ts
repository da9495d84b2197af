import { type ChatMessage, type GenerateOptions, type Method, RefusedError } from '@saccade/core';
import { sharedGpu } from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import type { Chat, LanguageModel } from '../src/index.ts';
import { randomLlama } from '../src/testing/index.ts';

const settings: GenerateOptions = { maxTokens: 12, ignoreEndOfText: true, temperature: 1 };
/** With as many ids as ASCII has, what is generated is encoded as it was. */
const ascii = { vocabularySize: 128, layers: 2 };

async function answer(chat: Chat, text: string, options: GenerateOptions = {}): Promise<string> {
  let all = '';
  for await (const piece of chat.send(text, { ...settings, ...options })) all += piece.text;
  return all;
}

async function fresh(model: LanguageModel, messages: readonly ChatMessage[]): Promise<string> {
  let all = '';
  for await (const piece of model.generate(messages, settings)) all += piece.text;
  return all;
}

describe('a chat', () => {
  it('runs of each turn only what is new, and answers as if all were run again', async () => {
    const model = await randomLlama(await sharedGpu(), ascii);
    const before = model.gpu.stats().liveBytes;
    const chat = model.chat({ messages: [{ role: 'system', content: 'Be brief.' }] });
    const lengths: number[] = [];
    for (const text of ['Hello', 'And then?', 'Why?']) {
      const asked = [...chat.messages, { role: 'user', content: text }];
      const expected = await fresh(model, asked);
      expect(await answer(chat, text)).toBe(expected);
      expect(chat.messages).toEqual([...asked, { role: 'assistant', content: expected }]);
      lengths.push(model.encodePrompt(asked).length);
      // Everything that was in the cache: the former prompt and all of its answer but the last token.
      expect(chat.reusedTokens).toBe(lengths.length === 1 ? 0 : (lengths.at(-2) as number) + 11);
    }
    chat.dispose();
    expect(model.gpu.stats().liveBytes).toBe(before);
    model.dispose();
  });

  it('runs everything again under another method', async () => {
    const model = await randomLlama(await sharedGpu(), ascii);
    const chat = model.chat();
    const method = (lookback: number): Method => ({
      name: 'near',
      options: { lookback },
      phases: ['prefill', 'decode'],
      attend: (_context, _call, next) => next({ slidingWindow: lookback }),
    });
    const reused: boolean[] = [];
    for (const lookback of [4, 4, 5, undefined]) {
      await answer(chat, 'Hello', { maxTokens: 2, ...(lookback ? { method: method(lookback) } : {}) });
      reused.push(chat.reusedTokens > 0);
    }
    expect(reused).toEqual([false, true, false, false]);
    chat.dispose();
    model.dispose();
  });

  it('goes back where what is rendered differs from what was generated, also past a window', async () => {
    // Bytes over 127 are no characters by themselves: what is decoded is encoded otherwise.
    const model = await randomLlama(await sharedGpu(), {
      vocabularySize: 256,
      layers: 2,
      layerKinds: ['window', 'global'],
      slidingWindow: 6,
    });
    const chat = model.chat();
    for (const text of ['Hello', 'And then?']) {
      const expected = await fresh(model, [...chat.messages, { role: 'user', content: text }]);
      expect(await answer(chat, text)).toBe(expected);
    }
    chat.dispose();
    model.dispose();
  });

  it('keeps an answer that the caller stops, forgets a turn that fails, and takes one turn at a time', async () => {
    const model = await randomLlama(await sharedGpu(), ascii);
    const chat = model.chat();
    let text = '';
    for await (const piece of chat.send('Hello', settings)) {
      text += piece.text;
      if (text.length >= 3) break;
    }
    expect(chat.messages.at(-1)).toEqual({ role: 'assistant', content: text });
    const said = chat.messages;

    const abort = new AbortController();
    const turn = chat.send('More', { ...settings, signal: abort.signal });
    await turn.next();
    await expect(chat.send('Me too').next()).rejects.toThrow(RefusedError);
    abort.abort(new Error('enough'));
    await expect(turn.next()).rejects.toThrow('enough');
    expect(chat.messages).toEqual(said);

    const expected = await fresh(model, [...said, { role: 'user', content: 'More' }]);
    expect(await answer(chat, 'More')).toBe(expected);
    chat.dispose();
    model.dispose();
  });
});

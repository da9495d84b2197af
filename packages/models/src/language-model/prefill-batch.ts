import {
  EncodedPrompt,
  type GenerateOptions,
  type KvCache,
  type MethodRun,
  type Prompt,
  PromptCache,
  type RunOptions,
  type Tensor,
} from '@saccade/core';
import { refuseCacheOptions } from './generate-options.ts';
import type { LanguageModel } from './language-model.ts';
import { chunkTokens } from './prefill-passes.ts';

/**
 * Runs several prompts dense. Short ones share passes, row behind row without padding, and see only themselves; those of a pass have
 * no more tokens together than a chunk of a long prompt. Earlier prefills are forked.
 */
export async function prefillBatch(
  model: LanguageModel,
  run: MethodRun,
  prompts: readonly Prompt[],
  options: GenerateOptions,
): Promise<PromptCache[]> {
  const texts: (PromptCache | EncodedPrompt)[] = [];
  const made: (PromptCache | undefined)[] = prompts.map(() => undefined);
  try {
    for (const prompt of prompts) texts.push(prompt instanceof PromptCache ? prompt : await model.encode(prompt));
    for (const [index, text] of texts.entries()) {
      if (!(text instanceof PromptCache)) continue;
      refuseCacheOptions(options);
      made[index] = text.fork();
    }
    const fresh: Numbered[] = [];
    for (const [index, text] of texts.entries()) {
      if (text instanceof PromptCache) continue;
      if (text.facts) made[index] = await model.prefillWith(run, text, { signal: options.signal, reserve: 0 });
      else fresh.push({ index, ids: text.ids });
    }
    for (const group of packs(fresh, watches(options) ? 0 : chunkTokens)) {
      options.signal?.throwIfAborted();
      const caches = await prefillGroup(model, run, group, options);
      for (const [row, { index }] of group.entries()) made[index] = caches[row];
    }
    return made as PromptCache[];
  } catch (error) {
    for (const cache of made) cache?.dispose();
    throw error;
  } finally {
    for (const text of texts) if (text instanceof EncodedPrompt) text.dispose();
  }
}

/** A prompt with its place among all. */
interface Numbered {
  readonly index: number;
  readonly ids: readonly number[];
}

/** Neighbouring prompts of up to `most` tokens together; a longer one stands alone. */
export function packs<Text extends { readonly ids: readonly number[] }>(
  texts: readonly Text[],
  most: number,
): Text[][] {
  const groups: Text[][] = [];
  let tokens = 0;
  for (const text of texts) {
    const group = groups.at(-1);
    if (!group || tokens + text.ids.length > most) {
      groups.push([text]);
      tokens = text.ids.length;
    } else {
      group.push(text);
      tokens += text.ids.length;
    }
  }
  return groups;
}

async function prefillGroup(
  model: LanguageModel,
  run: MethodRun,
  group: readonly Numbered[],
  options: RunOptions,
): Promise<PromptCache[]> {
  const [first] = group as readonly [Numbered];
  // The batch has the room for what comes.
  if (group.length === 1) return [await model.prefillWith(run, first.ids, { signal: options.signal, reserve: 0 })];
  const sequences: { readonly ids: readonly number[]; readonly cache: KvCache }[] = [];
  let logits: Tensor | undefined;
  try {
    for (const { ids } of group) sequences.push({ ids, cache: model.createCache(ids.length, run) });
    logits = model.appendTogether(run, sequences);
    // Waiting bounds the queue.
    await model.gpu.synchronize();
    return sequences.map(({ ids, cache }, row) => {
      const next = (logits as Tensor).slice(0, row, row + 1);
      return new PromptCache([...ids], cache, model.gpu.keep(next));
    });
  } catch (error) {
    for (const { cache } of sequences) cache.dispose();
    throw error;
  } finally {
    logits?.dispose();
  }
}

/** Whether somebody looks at activations, which are those of one text. */
function watches({ observe, edit }: RunOptions): boolean {
  return observe !== undefined || edit !== undefined;
}

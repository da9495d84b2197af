import {
  type CacheOptions,
  type ChatMessage,
  type GeneratedPiece,
  type GenerateOptions,
  type KvCache,
  type Method,
  MethodRun,
  RefusedError,
} from '@saccade/core';
import { Continuation } from './continuation.ts';
import { decode } from './generate.ts';
import { resolveGenerateOptions } from './generate-options.ts';
import type { LanguageModel } from './language-model.ts';

export interface ChatOptions {
  /** What the conversation begins with, such as a system message. */
  readonly messages?: readonly ChatMessage[];
}

/**
 * A conversation that keeps its keys and values across turns: of a turn's prompt only what differs from the tokens in the cache
 * is run, as long as the method stays the same. Made by {@link LanguageModel.chat}.
 */
export class Chat {
  readonly #model: LanguageModel;
  #messages: readonly ChatMessage[];
  #kv: KvCache | undefined;
  /** Ids of the tokens in the cache. */
  #ids: readonly number[] = [];
  /** The methods under which they were run. */
  #methods = '';
  #reused = 0;
  #busy = false;

  constructor(model: LanguageModel, { messages = [] }: ChatOptions = {}) {
    this.#model = model;
    this.#messages = [...messages];
  }

  /** The conversation so far. */
  get messages(): readonly ChatMessage[] {
    return this.#messages;
  }

  /** Tokens of the latest turn's prompt that were in the cache already. */
  get reusedTokens(): number {
    return this.#reused;
  }

  /**
   * Says something and streams the answer. When the caller stops reading, what was streamed counts as the answer; where an error or
   * the signal ends the turn, the conversation stays as it was.
   *
   * @throws RefusedError while another turn is under way
   */
  async *send(content: string, options: GenerateOptions = {}): AsyncGenerator<GeneratedPiece, void, void> {
    if (this.#busy) throw new RefusedError('This chat is answering; read that answer to its end, or stop it, first.');
    this.#busy = true;
    try {
      const asked = [...this.#messages, { role: 'user', content }];
      let answer = '';
      let failed = false;
      try {
        for await (const piece of this.#answer(asked, options)) {
          answer += piece.text;
          yield piece;
        }
      } catch (error) {
        failed = true;
        throw error;
      } finally {
        if (!failed) this.#messages = [...asked, { role: 'assistant', content: answer }];
      }
    } finally {
      this.#busy = false;
    }
  }

  /** Frees the cache; the messages stay. Idempotent. */
  dispose(): void {
    this.#kv?.dispose();
    this.#kv = undefined;
    this.#ids = [];
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  async *#answer(
    messages: readonly ChatMessage[],
    options: GenerateOptions,
  ): AsyncGenerator<GeneratedPiece, void, void> {
    const model = this.#model;
    const settings = resolveGenerateOptions(options);
    const ids = model.encodePrompt(messages);
    const run = await MethodRun.start(model, options.method, options);
    let continuation: Continuation | undefined;
    try {
      const methods = describe(run.methods, options.cache);
      // Companions run beside the whole prompt, and a method may keep less than others need.
      if (!run.companions || methods !== this.#methods) this.dispose();
      this.#methods = methods;
      const kv = this.#rewind(ids, settings.maxTokens, run);
      const logits = await model.appendWith(run, kv, ids.slice(kv.length), options);
      try {
        continuation = new Continuation(model, ids, settings);
        yield* decode({ model, run, kv, continuation, settings, options }, logits);
      } finally {
        logits.dispose();
      }
    } finally {
      const { length } = this.#kv ?? { length: 0 };
      this.#ids = (continuation?.ids ?? ids).slice(0, length);
      continuation?.dispose();
      run.dispose();
    }
  }

  /** The cache, back at the tokens that it has in common with a prompt (all but its last at most), with room for what comes. */
  #rewind(ids: readonly number[], maxTokens: number, run: MethodRun): KvCache {
    const differs = ids.findIndex((id, position) => id !== this.#ids[position]);
    const common = Math.min(differs < 0 ? ids.length : differs, this.#ids.length, ids.length - 1);
    if (this.#kv && !goesBack(this.#kv, common)) this.dispose();
    this.#kv ??= this.#model.createCache(ids.length + maxTokens, run);
    this.#reused = this.#kv.length;
    if (this.#kv.capacity < ids.length + maxTokens) this.#kv.grow(ids.length + maxTokens);
    return this.#kv;
  }
}

/** Methods with their options, and how the cache keeps tokens: alike where they keep the same of a text. */
function describe(methods: readonly Method[], cache: CacheOptions | undefined): string {
  return JSON.stringify([cache, ...methods.map(({ name, options }) => [name, options])]);
}

/** Whether a cache could be truncated: windows that have moved on cannot go back. */
function goesBack(kv: KvCache, length: number): boolean {
  if (length === kv.length) return true;
  try {
    kv.truncate(length);
    return true;
  } catch (error) {
    if (RefusedError.isInstance(error)) return false;
    throw error;
  }
}

import {
  type FinishReason,
  type GeneratedPiece,
  type GenerateOptions,
  MethodRun,
  type Prompt,
  PromptCache,
  sampleToken,
  type Tensor,
} from '@saccade/core';
import { type ResolvedGenerateOptions, resolveGenerateOptions } from './generate-options.ts';
import type { LanguageModel } from './language-model.ts';
import { StopFilter } from './stop-filter.ts';
import { TokenHistory } from './token-history.ts';

/** The decoding loop behind `LanguageModel.generate`: one pass, one sample and one readback per token. */
export async function* generate(
  model: LanguageModel,
  prompt: Prompt,
  options: GenerateOptions,
): AsyncGenerator<GeneratedPiece, void, void> {
  const settings = resolveGenerateOptions(options);
  const run = await MethodRun.start(model, options.method, options);
  let cache: PromptCache | undefined;
  let decoding: Decoding | undefined;
  try {
    cache =
      prompt instanceof PromptCache
        ? prompt.fork()
        : await model.prefillWith(run, model.encodePrompt(prompt), { ...options, reserve: settings.maxTokens });
    decoding = new Decoding(model, run, cache, settings);
    yield* decoding.pieces(options);
  } finally {
    decoding?.dispose();
    cache?.dispose();
    run.dispose();
  }
}

/** State of one generation between its tokens. */
class Decoding {
  readonly #model: LanguageModel;
  readonly #run: MethodRun;
  readonly #cache: PromptCache;
  readonly #settings: ResolvedGenerateOptions;
  readonly #ids: number[];
  readonly #history: TokenHistory | undefined;
  #logits: Tensor;

  constructor(model: LanguageModel, run: MethodRun, cache: PromptCache, settings: ResolvedGenerateOptions) {
    this.#model = model;
    this.#run = run;
    this.#cache = cache;
    this.#settings = settings;
    this.#ids = [...cache.ids];
    if (settings.repetitionPenalty !== 1) this.#history = new TokenHistory(model.gpu, cache.ids, settings.maxTokens);
    this.#logits = model.gpu.keep(cache.nextLogits.alias());
  }

  async *pieces(options: GenerateOptions): AsyncGenerator<GeneratedPiece, void, void> {
    const { maxTokens, stop, ignoreEndOfText } = this.#settings;
    const { tokenizer } = this.#model;
    const decoder = tokenizer.decodeStream();
    const filter = new StopFilter(stop);
    for (let count = 1; ; count++) {
      options.signal?.throwIfAborted();
      const token = this.#sample();
      try {
        const [id] = (await token.read()) as Uint32Array;
        const ended = !ignoreEndOfText && tokenizer.endOfTextIds.includes(id as number);
        const filtered = ended ? { text: '', stopped: false } : filter.push(decoder.push(id as number));
        const finishReason = finish(ended, filtered.stopped, count === maxTokens);
        if (finishReason) {
          const rest = finishReason === 'stop' ? filtered.text : filtered.text + closing(filter, decoder.end());
          options.onProgress?.(1);
          yield { text: rest, ids: [id as number], finishReason };
          return;
        }
        options.onProgress?.(count / maxTokens);
        yield { text: filtered.text, ids: [id as number] };
        await this.#advance(token, id as number, count);
      } finally {
        token.dispose();
      }
    }
  }

  dispose(): void {
    this.#logits.dispose();
    this.#history?.dispose();
  }

  #sample(): Tensor {
    const { temperature, topK, topP, seed, repetitionPenalty } = this.#settings;
    const penalty = this.#history
      ? { repetitionPenalty, history: this.#history.ids, historyLength: this.#history.length }
      : {};
    const position = this.#ids.length;
    return this.#model.gpu.keep(sampleToken(this.#logits, { temperature, topK, topP, seed, position, ...penalty }));
  }

  /** Appends a token: the method's step, then the pass that makes the next logits. */
  async #advance(token: Tensor, id: number, decoded: number): Promise<void> {
    const { kv } = this.#cache;
    if (decoded > 1) {
      await this.#run.step({
        gpu: this.#model.gpu,
        model: this.#model,
        cache: kv,
        ids: this.#ids,
        decoded: decoded - 1,
      });
    }
    if (kv.length === kv.capacity) kv.grow(kv.capacity + Math.max(256, this.#settings.maxTokens - decoded));
    this.#run.phase = 'decode';
    const { hidden, logits } = this.#model.forward(token, { cache: kv, run: this.#run });
    hidden.dispose();
    this.#logits.dispose();
    this.#logits = this.#model.gpu.keep(logits as Tensor);
    this.#history?.append(token);
    this.#ids.push(id);
  }
}

function finish(ended: boolean, stopped: boolean, full: boolean): FinishReason | undefined {
  if (ended) return 'endOfText';
  if (stopped) return 'stop';
  return full ? 'maxTokens' : undefined;
}

/** What is left when no more tokens come: the held-back text, cut at a stop text that the last bytes complete. */
function closing(filter: StopFilter, tail: string): string {
  const last = filter.push(tail);
  return last.stopped ? last.text : last.text + filter.end();
}

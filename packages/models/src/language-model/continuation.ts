import { type FinishReason, type GeneratedPiece, type HostArray, sampleToken, type Tensor } from '@saccade/core';
import type { TokenStream } from '../tokenizer/types.ts';
import type { ResolvedGenerateOptions } from './generate-options.ts';
import type { LanguageModel } from './language-model.ts';
import { launchLogprobs, readLogprobs } from './logprobs.ts';
import { StopFilter } from './stop-filter.ts';
import { TokenHistory } from './token-history.ts';

/** A token that was chosen on the device. */
export interface SampledToken {
  /** u32 [1] */
  readonly token: Tensor;
  /** What is read at once: the token, then its log-probabilities where they are wanted. */
  readonly tensors: readonly Tensor[];
}

/** One text that is being continued: what was said so far and how the next token is chosen and told. */
export class Continuation {
  /** Ids in the cache: the prompt's, then those that were generated and run. */
  readonly ids: number[];
  readonly #model: LanguageModel;
  readonly #settings: ResolvedGenerateOptions;
  readonly #history: TokenHistory | undefined;
  readonly #decoder: TokenStream;
  readonly #filter: StopFilter;
  #told = 0;

  constructor(model: LanguageModel, ids: readonly number[], settings: ResolvedGenerateOptions) {
    this.ids = [...ids];
    this.#model = model;
    this.#settings = settings;
    const { repetitionPenalty, maxTokens, stop } = settings;
    if (repetitionPenalty !== 1) this.#history = new TokenHistory(model.gpu, ids, maxTokens);
    this.#decoder = model.tokenizer.decodeStream();
    this.#filter = new StopFilter(stop);
  }

  /** Chooses the next token from logits [1, V]. The caller disposes the tensors. */
  sample(logits: Tensor): SampledToken {
    const { temperature, topK, topP, seed, repetitionPenalty, logprobs } = this.#settings;
    const penalty = this.#history
      ? { repetitionPenalty, history: this.#history.ids, historyLength: this.#history.length }
      : {};
    const position = this.ids.length;
    const { gpu } = this.#model;
    const sampled = gpu.tidy(() => {
      const token = sampleToken(logits, { temperature, topK, topP, seed, position, ...penalty });
      const details = logprobs === undefined ? [] : launchLogprobs(logits, token, logprobs);
      return { token, tensors: [token, ...details] };
    });
    for (const tensor of sampled.tensors) gpu.keep(tensor);
    return sampled;
  }

  /** What a sampled token adds to the text; a finish reason ends the continuation. */
  tell([token, ...details]: readonly HostArray[]): GeneratedPiece {
    const { maxTokens, ignoreEndOfText } = this.#settings;
    const id = token?.[0] as number;
    this.#told++;
    const ended = !ignoreEndOfText && this.#model.tokenizer.endOfTextIds.includes(id);
    const filtered = ended ? { text: '', stopped: false } : this.#filter.push(this.#decoder.push(id));
    const finishReason = finish(ended, filtered.stopped, this.#told === maxTokens);
    const rest = finishReason === undefined || finishReason === 'stop' ? '' : this.#closing();
    return {
      text: filtered.text + rest,
      ids: [id],
      ...(finishReason ? { finishReason } : {}),
      ...(details.length > 0 ? { logprobs: readLogprobs(details) } : {}),
    };
  }

  /** The token is in the cache now. */
  append(token: Tensor, id: number): void {
    this.#history?.append(token);
    this.ids.push(id);
  }

  dispose(): void {
    this.#history?.dispose();
  }

  /** What is left when no more tokens come: the held-back text, cut at a stop text that the last bytes complete. */
  #closing(): string {
    const last = this.#filter.push(this.#decoder.end());
    return last.stopped ? last.text : last.text + this.#filter.end();
  }
}

function finish(ended: boolean, stopped: boolean, full: boolean): FinishReason | undefined {
  if (ended) return 'endOfText';
  if (stopped) return 'stop';
  return full ? 'maxTokens' : undefined;
}

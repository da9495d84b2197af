import {
  concatenate,
  type GeneratedPiece,
  type GenerateOptions,
  KvCache,
  MethodRun,
  type Prompt,
  type PromptCache,
  type Tensor,
} from '@saccade/core';
import { Continuation, type SampledToken } from './continuation.ts';
import { DecodeSteps } from './decode-steps.ts';
import { generate } from './generate.ts';
import { type ResolvedGenerateOptions, resolveGenerateOptions } from './generate-options.ts';
import type { LanguageModel } from './language-model.ts';
import { prefillBatch } from './prefill-batch.ts';

/** What one step adds to one of several texts. */
export interface BatchPiece extends GeneratedPiece {
  /** Which of the prompts it continues. */
  readonly index: number;
}

/**
 * Continues several prompts together, whatever their lengths: short ones are run in one pass, long ones by themselves, and
 * then one pass per step takes one token of every text that has not ended. There is no padding. Every text is what it would be alone.
 *
 * Methods keep their state per sequence: with a method each text has a run of its own, and they take turns.
 */
export async function* generateBatch(
  model: LanguageModel,
  prompts: readonly Prompt[],
  options: GenerateOptions,
): AsyncGenerator<BatchPiece, void, void> {
  const settings = resolveGenerateOptions(options);
  const methods = [options.method ?? []].flat();
  if (methods.length > 0 || prompts.length === 1) return yield* takeTurns(model, prompts, options);
  const batch = await Batch.start(model, prompts, settings, options);
  try {
    for (let count = 1; batch.size > 0; count++) {
      options.signal?.throwIfAborted();
      options.onProgress?.(count / settings.maxTokens);
      yield* batch.step();
    }
    options.onProgress?.(1);
  } finally {
    batch.dispose();
  }
}

/** A text of a batch. */
interface Row {
  readonly index: number;
  readonly continuation: Continuation;
}

/** The texts of a batch that have not ended, row by row. */
class Batch {
  readonly #model: LanguageModel;
  readonly #run: MethodRun;
  #rows: readonly Row[];
  #kv: KvCache;
  readonly #steps: DecodeSteps;
  /** f32 [rows, V] of the prompts' last tokens, then those of the steps. */
  #logits: Tensor;
  #promptLogits: Tensor | undefined;

  private constructor(
    model: LanguageModel,
    run: MethodRun,
    caches: readonly PromptCache[],
    settings: ResolvedGenerateOptions,
  ) {
    const { gpu } = model;
    const longest = Math.max(...caches.map((cache) => cache.length));
    this.#model = model;
    this.#run = run;
    this.#steps = new DecodeSteps(model, run);
    this.#logits = gpu.keep(concatenate(caches.map((cache) => cache.nextLogits)));
    this.#promptLogits = this.#logits;
    const rows: Row[] = [];
    try {
      for (const [index, { ids }] of caches.entries()) {
        rows.push({ index, continuation: new Continuation(model, ids, settings) });
      }
      this.#kv = KvCache.join(
        caches.map((cache) => cache.kv),
        longest + settings.maxTokens,
      );
    } catch (error) {
      for (const { continuation } of rows) continuation.dispose();
      this.#logits.dispose();
      throw error;
    }
    this.#rows = rows;
  }

  static async start(
    model: LanguageModel,
    prompts: readonly Prompt[],
    settings: ResolvedGenerateOptions,
    options: GenerateOptions,
  ): Promise<Batch> {
    const run = await MethodRun.start(model, undefined, options);
    let caches: readonly PromptCache[] = [];
    try {
      caches = await prefillBatch(model, run, prompts, options);
      return new Batch(model, run, caches, settings);
    } catch (error) {
      run.dispose();
      throw error;
    } finally {
      for (const cache of caches) cache.dispose();
    }
  }

  get size(): number {
    return this.#rows.length;
  }

  /** One token of every text: what they add, then the pass that makes the next logits. */
  async *step(): AsyncGenerator<BatchPiece, void, void> {
    const { gpu } = this.#model;
    const sampled: SampledToken[] = [];
    try {
      for (const [row, { continuation }] of this.#rows.entries()) {
        sampled.push(gpu.tidy(() => continuation.sample(this.#logits.slice(0, row, row + 1))));
      }
      const read = await gpu.read(sampled.flatMap(({ tensors }) => tensors));
      const pieces = this.#rows.map(({ continuation, index }, row) => {
        const { length } = sampled[row]?.tensors ?? [];
        return { index, ...continuation.tell(read.splice(0, length)) };
      });
      yield* pieces;
      const going = pieces.flatMap(({ finishReason }, row) => (finishReason ? [] : [row]));
      this.#keep(going);
      if (going.length === 0) return;
      const tokens = going.map((row) => sampled[row]?.token as Tensor);
      this.#advance(tokens);
      for (const [row, { continuation }] of this.#rows.entries()) {
        continuation.append(tokens[row] as Tensor, pieces[going[row] as number]?.ids[0] as number);
      }
    } finally {
      for (const { tensors } of sampled) for (const tensor of tensors) tensor.dispose();
    }
  }

  dispose(): void {
    for (const { continuation } of this.#rows) continuation.dispose();
    this.#kv.dispose();
    this.#steps.dispose();
    this.#promptLogits?.dispose();
    this.#run.dispose();
  }

  /** Goes on with these rows. */
  #keep(rows: readonly number[]): void {
    if (rows.length === this.size) return;
    for (const [row, { continuation }] of this.#rows.entries()) if (!rows.includes(row)) continuation.dispose();
    this.#rows = rows.map((row) => this.#rows[row] as Row);
    if (rows.length === 0) return;
    const kept = this.#kv.select(rows);
    this.#kv.dispose();
    this.#kv = kept;
  }

  #advance(tokens: readonly Tensor[]): void {
    this.#logits = this.#steps.next(tokens, this.#kv);
    this.#promptLogits?.dispose();
    this.#promptLogits = undefined;
  }
}

/** Each text by itself, a token of every one at a time. */
async function* takeTurns(
  model: LanguageModel,
  prompts: readonly Prompt[],
  options: GenerateOptions,
): AsyncGenerator<BatchPiece, void, void> {
  let texts = prompts.map((prompt, index) => ({ index, stream: generate(model, prompt, options) }));
  try {
    while (texts.length > 0) {
      const ended = new Set<number>();
      for (const { index, stream } of texts) {
        const { value, done } = await stream.next();
        if (done) ended.add(index);
        else yield { index, ...value };
      }
      texts = texts.filter(({ index }) => !ended.has(index));
    }
  } finally {
    for (const { stream } of texts) await stream.return();
  }
}

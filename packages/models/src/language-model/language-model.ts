import {
  ArgumentError,
  type ChatMessage,
  concatenate,
  contiguous,
  DisposedError,
  EncodedPrompt,
  type ForwardCompanion,
  type ForwardOptions,
  type ForwardResult,
  type GeneratedPiece,
  type GenerateOptions,
  type Gpu,
  gather,
  type KvCache,
  MethodRun,
  type ModelFacts,
  type ModelHandle,
  type PrefillOptions,
  type Prompt,
  PromptCache,
  RefusedError,
  type RowFeatures,
  type RunOptions,
  Tensor,
  type TokenInput,
} from '@saccade/core';
import type { Architecture } from '../architectures/architecture.ts';
import type { ModelLicence } from '../resolve/licence.ts';
import type { Tokenizer } from '../tokenizer/types.ts';
import { Chat, type ChatOptions } from './chat.ts';
import { estimateMemory, type MemoryEstimate, type MemoryRequest } from './estimate-memory.ts';
import { generate } from './generate.ts';
import { type BatchPiece, generateBatch } from './generate-batch.ts';
import { asEncoded, defaultReserve, type FeatureRange, type PrefillPass, prefillPasses } from './prefill-passes.ts';
import { type WarmUpOptions, warmUp } from './warm-up.ts';

export interface LanguageForwardOptions extends ForwardOptions {
  /** Kinds of the tokens, for networks that tell them apart (BERT: 0 first text, 1 second); default all 0. */
  readonly tokenTypes?: readonly number[];
}

/** A language model on the GPU with its tokenizer. Made by {@link loadLanguageModel}. */
export class LanguageModel implements ModelHandle {
  readonly gpu: Gpu;
  readonly facts: ModelFacts;
  readonly tokenizer: Tokenizer;
  /** The licence that the weights come under, where it is known. */
  readonly licence: ModelLicence | undefined;
  readonly #network: Architecture;
  #disposed = false;

  constructor(
    network: Architecture,
    tokenizer: Tokenizer,
    about: { readonly licence?: ModelLicence | undefined; readonly facts?: ModelFacts } = {},
  ) {
    this.gpu = network.gpu;
    this.facts = about.facts ?? network.facts;
    this.tokenizer = tokenizer;
    this.#network = network;
    this.licence = about.licence;
  }

  /** Bytes of the weights in GPU memory. */
  get weightBytes(): number {
    return this.#network.weightBytes;
  }

  /** Bytes of GPU memory for weights and tables, with what the pool rounds up. */
  protected get residentBytes(): number {
    return this.#network.residentBytes;
  }

  /** Makes the tables of positions long enough for `positions` tokens, which passes otherwise do when they need it. */
  reserve(positions: number): void {
    this.#network.reserve(positions);
  }

  /**
   * A prompt as the model runs it. The caller disposes it.
   * @throws RefusedError for images
   */
  async encode(prompt: Exclude<Prompt, PromptCache>): Promise<EncodedPrompt> {
    if (prompt instanceof EncodedPrompt) return prompt.share();
    if (typeof prompt === 'string' || Array.isArray(prompt)) {
      return new EncodedPrompt(this.encodePrompt(prompt as string | readonly ChatMessage[] | readonly number[]));
    }
    throw new RefusedError(`${this.facts.name} reads text only; load a model that sees with loadVisionLanguageModel.`);
  }

  encodePrompt(prompt: string | readonly ChatMessage[] | readonly number[]): number[] {
    if (typeof prompt === 'string') return this.tokenizer.encode(prompt);
    if (isIds(prompt)) return [...prompt];
    const text = this.tokenizer.applyChatTemplate(prompt, { addGenerationPrompt: true });
    return this.tokenizer.encode(text, { addSpecialTokens: false });
  }

  createCache(capacity: number, run?: MethodRun): KvCache {
    this.#assertUsable();
    this.#assertCausal();
    return this.#network.createCache(capacity, run);
  }

  forward(tokens: TokenInput, options: LanguageForwardOptions = {}): ForwardResult {
    this.#assertUsable();
    const { gpu, facts } = this;
    const { companions = [] } = options;
    checkForward(facts, options);
    if (options.cache) this.#assertCausal();
    return gpu.tidy(() => {
      const inputs = [tokens, ...companions.map((companion) => companion.tokens)].map((each) =>
        each instanceof Tensor ? each : this.#uploadIds(each),
      );
      const [ids, ...others] = inputs as [Tensor, ...Tensor[]];
      const run = options.run ?? MethodRun.dense(this, options);
      const cache = facts.causal ? (options.cache ?? this.createCache(ids.size, run)) : undefined;
      try {
        const sequences = [
          { cache, count: ids.size },
          ...companions.map((companion, index) => ({ ...companion, count: (others[index] as Tensor).size })),
        ];
        const all = others.length === 0 ? ids : concatenate(inputs);
        const features = placedFeatures([options, ...companions], inputs);
        return run.pass(sequences, () => {
          const tokenTypes = options.tokenTypes && this.#uploadTypes(options.tokenTypes, all.size);
          const hidden = this.#network.forward({ ids: all, tokenTypes, features }, run, options.layers);
          const batch = cache?.batch ?? 1;
          return this.#result(run, hidden, { count: run.rows, batch }, options.logits ?? 'last', sequences.slice(1));
        });
      } finally {
        if (!options.cache) cache?.dispose();
        if (!options.run) run.dispose();
      }
    });
  }

  unembed(residual: Tensor): Tensor {
    this.#assertUsable();
    return this.gpu.tidy(() => this.#network.logits(this.#network.finalNorm(residual)));
  }

  async prefill(prompt: Prompt, options: PrefillOptions = {}): Promise<PromptCache> {
    if (prompt instanceof PromptCache) return prompt.fork();
    const encoded = await this.encode(prompt);
    try {
      const run = await MethodRun.start(this, options.method, options);
      try {
        return await this.prefillWith(run, encoded, options);
      } finally {
        run.dispose();
      }
    } finally {
      encoded.dispose();
    }
  }

  /** Prefill inside a run that goes on afterwards. */
  async prefillWith(
    run: MethodRun,
    prompt: readonly number[] | EncodedPrompt,
    options: PrefillOptions,
  ): Promise<PromptCache> {
    this.#assertUsable();
    const encoded = asEncoded(prompt);
    const { ids } = encoded;
    const cache = this.createCache(ids.length + (options.reserve ?? defaultReserve), run);
    cache.prompt = encoded.facts;
    try {
      return new PromptCache([...ids], cache, await this.appendWith(run, cache, encoded, options));
    } catch (error) {
      cache.dispose();
      throw error;
    }
  }

  /** Runs tokens behind those in the cache, in chunks, inside a run that goes on; returns the logits after the last one. */
  async appendWith(
    run: MethodRun,
    cache: KvCache,
    prompt: readonly number[] | EncodedPrompt,
    options: PrefillOptions,
  ): Promise<Tensor> {
    const encoded = asEncoded(prompt);
    run.checkSpans(cache.prompt?.spans);
    if (encoded.ids.length === 0) throw new ArgumentError('prompt', 'no tokens', 'at least one token');
    run.phase = 'prefill';
    const passes = prefillPasses(this, run, cache.length, encoded, options.reserve);
    for (const [index, pass] of passes.entries()) {
      options.signal?.throwIfAborted();
      const logits = this.appendPass(run, cache, pass, index === passes.length - 1);
      if (logits) {
        options.onProgress?.(1);
        return logits;
      }
      // Waiting bounds the queue, so that progress and aborts mean something.
      await this.gpu.synchronize();
      options.onProgress?.((index + 1) / passes.length);
    }
    throw new Error('A prefill has at least one pass.');
  }

  /** Records one pass of a prefill; logits of its last token where it is the last one. The caller disposes them. */
  appendPass(run: MethodRun, cache: KvCache, pass: PrefillPass, last: boolean): Tensor | undefined {
    run.endsPrompt = last;
    const kept = this.gpu.tidy(() => {
      const [{ ids, features }, ...others] = [pass, ...pass.companions].map((part) => ({
        ...part,
        features: part.features && rowsOf(part.features),
      })) as [PassPart, ...(ForwardCompanion & PassPart)[]];
      const companions = others.map((companion) => ({ ...companion, tokens: companion.ids }));
      return this.forward(ids, { cache, run, companions, features, logits: last ? 'last' : 'none' }).logits?.alias();
    });
    return kept && this.gpu.keep(kept);
  }

  /**
   * Records one pass over several texts, row behind row, each behind the tokens of its own cache.
   * @returns Logits of the last token of each, f32 [texts, vocabularySize]; the caller disposes them.
   */
  appendTogether(
    run: MethodRun,
    texts: readonly { readonly ids: readonly number[]; readonly cache: KvCache }[],
  ): Tensor {
    const { gpu } = this;
    run.phase = 'prefill';
    run.endsPrompt = true;
    let end = 0;
    const last = texts.map(({ ids }) => {
      if (ids.length === 0) throw new ArgumentError('prompt', 'no tokens', 'at least one token');
      end += ids.length;
      return end - 1;
    });
    return gpu.keep(
      gpu.tidy(() => {
        const ids = this.#uploadIds(texts.flatMap((text) => [...text.ids]));
        const sequences = texts.map((text) => ({ cache: text.cache, count: text.ids.length }));
        return run.pass(sequences, () => {
          const hidden = this.#network.forward({ ids }, run);
          return this.#network.logits(gather(hidden, gpu.tensor(last, [last.length], 'u32')));
        });
      }),
    );
  }

  /** Runs further tokens behind a prompt that was run before. The prompt's own cache stays as it is. */
  async extend(prompt: PromptCache, ids: readonly number[], options: PrefillOptions = {}): Promise<PromptCache> {
    const run = await MethodRun.start(this, options.method, options);
    const cache = prompt.kv.fork();
    try {
      if (cache.capacity < prompt.length + ids.length)
        cache.grow(prompt.length + ids.length + (options.reserve ?? defaultReserve));
      return new PromptCache([...prompt.ids, ...ids], cache, await this.appendWith(run, cache, ids, options));
    } catch (error) {
      cache.dispose();
      throw error;
    } finally {
      run.dispose();
    }
  }

  async logits(prompt: readonly number[] | EncodedPrompt, options: RunOptions = {}): Promise<Tensor> {
    const { ids, features, facts, spans } = asEncoded(prompt);
    if (ids.length === 0) throw new ArgumentError('ids', ids, 'at least one token');
    options.signal?.throwIfAborted();
    const run = await MethodRun.start(this, options.method, options);
    let cache: KvCache | undefined;
    try {
      run.checkSpans(spans);
      if (facts) {
        cache = this.createCache(ids.length, run);
        cache.prompt = facts;
      }
      const own = features && { rows: features.positions, values: features.rows };
      const { hidden, logits } = this.forward(ids, { run, cache, features: own, logits: 'all' });
      hidden.dispose();
      return logits as Tensor;
    } finally {
      cache?.dispose();
      run.dispose();
    }
  }

  /** Streams the continuation of a prompt. */
  generate(prompt: Prompt, options?: GenerateOptions): AsyncGenerator<GeneratedPiece, void, void>;
  /** Streams the continuations of several prompts, which decode together; each is what it would be alone. */
  generate(prompts: readonly Prompt[], options?: GenerateOptions): AsyncGenerator<BatchPiece, void, void>;
  generate(
    prompt: Prompt | readonly Prompt[],
    options: GenerateOptions = {},
  ): AsyncGenerator<GeneratedPiece, void, void> {
    this.#assertUsable();
    this.#assertCausal();
    return arePrompts(prompt) ? generateBatch(this, prompt, options) : generate(this, prompt, options);
  }

  /**
   * GPU memory that generating takes at its peak, from a dry run of the passes themselves: nothing large is allocated and no kernel
   * runs. A method that calibrates does so.
   *
   * @throws RefusedError for a method that reads on the host during a pass
   */
  async estimateMemory(request: MemoryRequest): Promise<MemoryEstimate> {
    this.#assertUsable();
    this.#assertCausal();
    this.#network.reserve(request.context);
    return estimateMemory(this, this.residentBytes, request);
  }

  /**
   * Compiles the pipelines that a generation needs, all at once and in the background, so that the first token does not wait for
   * one after another. Of the kernels only empty dispatches run.
   *
   * @returns how many pipelines were compiled
   * @throws ArgumentError; RefusedError as a run with this method would be
   */
  async warmUp(options: WarmUpOptions = {}): Promise<number> {
    this.#assertUsable();
    this.#assertCausal();
    this.#network.reserve((options.promptTokens ?? 512) + 1);
    return warmUp(this, options);
  }

  /** A conversation that keeps its cache across turns. The caller disposes it. */
  chat(options?: ChatOptions): Chat {
    this.#assertUsable();
    this.#assertCausal();
    return new Chat(this, options);
  }

  /** Frees the weights. Idempotent. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#network.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Hidden rows and logits of the first `count` rows, those of a batch or of one sequence; the logits of companions go to the methods. */
  #result(
    run: MethodRun,
    hidden: Tensor,
    { count, batch }: { readonly count: number; readonly batch: number },
    wanted: 'last' | 'all' | 'none',
    companions: readonly { readonly count: number }[],
  ): ForwardResult {
    const own = companions.length === 0 ? hidden : hidden.slice(0, 0, count);
    if (wanted === 'none') return { hidden: own, logits: undefined };
    const rows = wanted === 'all' ? own : lastRows(own, batch);
    const logits = run.activation(-1, 'logits', this.#network.logits(rows));
    let end = count;
    const others = companions.map((companion) => {
      end += companion.count;
      return this.#network.logits(hidden.slice(0, end - 1, end));
    });
    return { hidden: own, logits: run.processLogits(logits, others).alias() };
  }

  #uploadIds(tokens: readonly number[]): Tensor {
    if (tokens.length === 0) throw new ArgumentError('tokens', tokens, 'at least one token');
    const { vocabularySize } = this.facts;
    for (const id of tokens) {
      if (!Number.isInteger(id) || id < 0 || id >= vocabularySize) {
        throw new ArgumentError('tokens', id, `token ids in [0, ${vocabularySize})`);
      }
    }
    return this.gpu.tensor(tokens, [tokens.length], 'u32');
  }

  #uploadTypes(types: readonly number[], count: number): Tensor {
    if (types.length !== count)
      throw new ArgumentError('tokenTypes', `${types.length} numbers`, `one for each of ${count} tokens`);
    return this.gpu.tensor(types, [count], 'u32');
  }

  #assertCausal(): void {
    if (this.facts.causal) return;
    throw new RefusedError(
      `${this.facts.name} is bidirectional: it reads whole texts (forward, logits) and continues none.`,
    );
  }

  #assertUsable(): void {
    if (this.#disposed) throw new DisposedError(`The model ${this.facts.name}`);
  }
}

/** What a pass runs of one sequence. */
interface PassPart {
  readonly ids: readonly number[];
  readonly features: RowFeatures | undefined;
}

/** The features of a pass as it takes them; views of the prompt's. */
function rowsOf({ features, start, end }: FeatureRange): RowFeatures | undefined {
  const from = features.positions.findIndex((position) => position >= start);
  const rows = features.positions.filter((position) => position >= start && position < end);
  if (rows.length === 0) return undefined;
  return {
    rows: rows.map((position) => position - start),
    values: features.rows.slice(0, from, from + rows.length),
  };
}

/** Features of all sequences of a pass, by the row among all. @throws ArgumentError for a row that a sequence has not */
function placedFeatures(
  sequences: readonly { readonly features?: RowFeatures | undefined }[],
  inputs: readonly Tensor[],
): RowFeatures[] {
  let first = 0;
  return sequences.flatMap(({ features }, index) => {
    const [from, count] = [first, (inputs[index] as Tensor).size];
    first += count;
    if (!features) return [];
    const { rows, values } = features;
    if (rows.some((row) => !(Number.isInteger(row) && row >= 0 && row < count))) {
      throw new ArgumentError('forward: features', rows, `rows below ${count}`);
    }
    return [{ rows: rows.map((row) => from + row), values }];
  });
}

/** The last row of each of `batch` sequences of equally many rows [B N, E]. */
function lastRows(hidden: Tensor, batch: number): Tensor {
  const [rows, size] = hidden.shape as [number, number];
  if (rows === batch) return hidden;
  const each = rows / batch;
  return contiguous(hidden.reshape([batch, each, size]).slice(1, each - 1, each)).reshape([batch, size]);
}

/** @throws ArgumentError */
function checkForward(facts: ModelFacts, { run, observe, edit, layers }: ForwardOptions): void {
  if (run && (observe || edit)) {
    throw new ArgumentError(
      'forward: observe and edit',
      'given together with a run',
      'those that the run started with',
    );
  }
  if (layers !== undefined && !(Number.isInteger(layers) && layers >= 1 && layers <= facts.layers)) {
    throw new ArgumentError('forward: layers', layers, `an integer from 1 to ${facts.layers}`);
  }
}

/** Whether these are several prompts rather than one in the form of ids or messages. */
function arePrompts(prompt: Prompt | readonly Prompt[]): prompt is readonly Prompt[] {
  if (!Array.isArray(prompt)) return false;
  const [first] = prompt as readonly unknown[];
  // A message has a role; images with a text have none.
  return (
    typeof first === 'string' ||
    Array.isArray(first) ||
    (typeof first === 'object' && first !== null && !('role' in first))
  );
}

function isIds(prompt: readonly ChatMessage[] | readonly number[]): prompt is readonly number[] {
  return prompt.length === 0 || typeof prompt[0] === 'number';
}

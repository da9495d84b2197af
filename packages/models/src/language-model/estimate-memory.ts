import { ArgumentError, concatenate, KvCache, type Method, MethodRun, sampleToken, type Tensor } from '@saccade/core';
import type { LanguageModel } from './language-model.ts';
import { packs } from './prefill-batch.ts';
import { chunkTokens, prefillPasses, withCompanions } from './prefill-passes.ts';

/** A generation whose memory is asked for. */
export interface MemoryRequest {
  /** Tokens of each text at its end: prompt and continuation. */
  readonly context: number;
  /** Those of them that are generated; default 128 (`maxTokens` of `generate`), or all but one of a shorter context. */
  readonly newTokens?: number;
  /** Texts that are continued together; default 1. */
  readonly batch?: number;
  readonly method?: Method | readonly Method[] | undefined;
}

/** Bytes of GPU memory, as `gpu.stats()` counts them. Buffers that wait for reuse come on top, up to `maxPooledBytes`. */
export interface MemoryEstimate {
  /** The model's own: weights and tables. */
  readonly weights: number;
  /** Keys and values at the end, of all texts. */
  readonly cache: number;
  /** Whatever else lives at the peak: activations, logits, a method's state, prompts' caches while a batch is joined. */
  readonly working: number;
  readonly total: number;
}

/** Runs the passes of a generation dry; see `LanguageModel.estimateMemory`. */
export async function estimateMemory(
  model: LanguageModel,
  weights: number,
  request: MemoryRequest,
): Promise<MemoryEstimate> {
  const { context, batch = 1, method } = request;
  const newTokens = request.newTokens ?? Math.min(128, context - 1);
  const { contextLength } = model.facts;
  if (!(Number.isInteger(context) && context >= 2 && context <= contextLength))
    throw new ArgumentError('context', context, `an integer from 2 to ${contextLength}`);
  if (!(Number.isInteger(newTokens) && newTokens >= 1 && newTokens < context))
    throw new ArgumentError('newTokens', newTokens, 'an integer of 1 or more, below the context');
  if (!(Number.isInteger(batch) && batch >= 1)) throw new ArgumentError('batch', batch, 'an integer of 1 or more');

  const { gpu } = model;
  const before = gpu.stats().liveBytes;
  const run = await MethodRun.start(model, method);
  const dense = run.methods.length === 0;
  const state = gpu.stats().liveBytes - before;
  const prompt = new Array<number>(context - newTokens).fill(0);
  let cache = 0;
  const peak = gpu.dryRun(() => {
    const generation = new DryGeneration(model, run);
    try {
      cache =
        dense && batch > 1
          ? generation.together(prompt, newTokens, batch)
          : generation.oneByOne(prompt, newTokens, batch);
    } finally {
      generation.dispose();
      // What a method has kept of a pass goes with its run.
      run.dispose();
    }
  });
  // With a method every text has a run of its own.
  const working = peak - cache + (dense ? 0 : batch * state);
  return { weights, cache, working, total: weights + cache + working };
}

/** What `generate` and `generateBatch` hold while they run. */
class DryGeneration {
  readonly #model: LanguageModel;
  readonly #run: MethodRun;
  #caches: KvCache[] = [];
  #logits: Tensor[] = [];

  constructor(model: LanguageModel, run: MethodRun) {
    this.#model = model;
    this.#run = run;
  }

  /** Each text with a cache of its own. Returns the bytes of all caches. */
  oneByOne(prompt: readonly number[], newTokens: number, batch: number): number {
    for (let text = 0; text < batch; text++) this.#prefill(prompt, newTokens);
    this.#decode(this.#caches[0] as KvCache, this.#logits[0] as Tensor);
    return this.#cacheBytes();
  }

  /** All texts in one cache, once their prompts have been run. Returns its bytes. */
  together(prompt: readonly number[], newTokens: number, batch: number): number {
    const texts = new Array<{ readonly ids: readonly number[] }>(batch).fill({ ids: prompt });
    for (const group of packs(texts, chunkTokens)) {
      if (group.length === 1) this.#prefill(prompt, 0);
      else this.#prefillTogether(prompt, group.length);
    }
    const joined = KvCache.join(this.#caches, prompt.length + newTokens);
    const logits = this.#model.gpu.keep(concatenate(this.#logits));
    this.dispose();
    this.#caches = [joined];
    this.#logits = [logits];
    this.#decode(joined, logits);
    return this.#cacheBytes();
  }

  dispose(): void {
    for (const cache of this.#caches) cache.dispose();
    for (const tensor of this.#logits) tensor.dispose();
    this.#caches = [];
    this.#logits = [];
  }

  #prefill(prompt: readonly number[], room: number): void {
    const cache = this.#model.createCache(prompt.length + room, this.#run);
    this.#caches.push(cache);
    this.#run.phase = 'prefill';
    const passes = prefillPasses(this.#model, this.#run, 0, prompt, room);
    for (const [index, pass] of passes.entries()) {
      const logits = this.#model.appendPass(this.#run, cache, pass, index === passes.length - 1);
      if (logits) this.#logits.push(logits);
    }
  }

  #prefillTogether(prompt: readonly number[], count: number): void {
    const caches = Array.from({ length: count }, () => this.#model.createCache(prompt.length, this.#run));
    this.#caches.push(...caches);
    this.#logits.push(
      this.#model.appendTogether(
        this.#run,
        caches.map((cache) => ({ ids: prompt, cache })),
      ),
    );
  }

  #decode(cache: KvCache, logits: Tensor): void {
    this.#run.phase = 'decode';
    const token = sampleToken(logits);
    const companions = withCompanions(this.#run.companions ?? [], token);
    const { hidden, logits: next } = this.#model.forward(token, { cache, run: this.#run, companions });
    hidden.dispose();
    next?.dispose();
  }

  #cacheBytes(): number {
    return this.#caches.reduce((sum, cache) => sum + cache.bytes, 0);
  }
}

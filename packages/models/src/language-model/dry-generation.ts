import { concatenate, EncodedPrompt, KvCache, type MethodRun, sampleToken, type Tensor } from '@saccade/core';
import { stepBound } from './decode-steps.ts';
import type { LanguageModel } from './language-model.ts';
import { packs } from './prefill-batch.ts';
import { chunkTokens, prefillPasses, withCompanions } from './prefill-passes.ts';

/** The passes of `generate` and `generateBatch`, for dry runs, and what they hold meanwhile. */
export class DryGeneration {
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
    const passes = prefillPasses(this.#model, this.#run, 0, new EncodedPrompt(prompt), room);
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
    // As `DecodeSteps` records them.
    if (this.#run.steady) cache.beginStep(stepBound(cache, this.#model.facts));
    const { hidden, logits: next } = this.#model.forward(token, { cache, run: this.#run, companions });
    hidden.dispose();
    next?.dispose();
  }

  #cacheBytes(): number {
    return this.#caches.reduce((sum, cache) => sum + cache.bytes, 0);
  }
}

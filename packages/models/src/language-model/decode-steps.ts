import {
  type CommandPlan,
  concatenate,
  type KvCache,
  type MethodRun,
  type ModelFacts,
  type Tensor,
} from '@saccade/core';
import type { LanguageModel } from './language-model.ts';
import { withCompanions } from './prefill-passes.ts';

/** A plan holds until a sequence is longer than the next multiple of this many tokens. */
const planTokens = 512;

/** Longest sequence for which the commands of the next step are recorded. Positions beyond the model's context are refused one by one. */
export function stepBound(cache: KvCache, { contextLength }: ModelFacts): number {
  const longest = cache.length + 1;
  const wanted = Math.min(Math.ceil(longest / planTokens) * planTokens, cache.capacity);
  return longest <= contextLength ? Math.min(wanted, contextLength) : wanted;
}

/**
 * The passes of a decoding loop, one token of every sequence each, for those who write a loop of their own; `generate` uses them. A steady run (nobody watches, and of all methods it is known that steps record the same: `Method.steadySteps`) records a
 * pass once and runs its commands again for the tokens that follow: what changes, positions and lengths, stands in the
 * cache's tables on the device. Where steps differ in more than that, each is recorded.
 */
export class DecodeSteps {
  readonly #model: LanguageModel;
  readonly #run: MethodRun;
  #plan: CommandPlan | undefined;
  /** u32 [B], where the plan's commands read the tokens. */
  #ids: Tensor | undefined;
  /** Longest sequence for which the plan holds, and the cache's rows that it reads and writes. */
  #bound = 0;
  #rows: readonly Tensor[] = [];
  /** f32 [B, vocabularySize] */
  #logits: Tensor | undefined;

  constructor(model: LanguageModel, run: MethodRun) {
    this.#model = model;
    this.#run = run;
  }

  /**
   * Runs the newest token of each sequence, u32 [1] each, behind those in the cache.
   * @returns logits of the tokens to come, f32 [B, vocabularySize]; they are the steps' and hold until the next one.
   */
  next(tokens: readonly Tensor[], cache: KvCache): Tensor {
    this.#run.phase = 'decode';
    const step = this.#plannable ? cache.beginStep(stepBound(cache, this.#model.facts)) : undefined;
    if (!step) return this.#record(tokens, cache);
    const { gpu } = this.#model;
    const ids = this.#takeIds(tokens);
    this.#plan ??= gpu.plan();
    const longest = cache.length + 1;
    if (this.#plan.ready && longest <= this.#bound && same(this.#rows, step.rows)) {
      this.#plan.run();
      cache.advance(1);
      return this.#logits as Tensor;
    }
    this.#dropLogits();
    this.#bound = step.pass.bound as number;
    this.#rows = step.rows;
    this.#model.reserve(this.#bound);
    this.#logits = this.#plan.capture(() => this.#forward(ids, cache));
    this.#plan.run();
    return this.#logits;
  }

  dispose(): void {
    this.#plan?.dispose();
    this.#dropLogits();
    this.#ids?.dispose();
  }

  /** Debug levels look at launches one by one, as they are recorded. */
  get #plannable(): boolean {
    return this.#run.steady && this.#model.gpu.debug === 'off';
  }

  /** The tokens in the buffer from which the plan reads them. */
  #takeIds(tokens: readonly Tensor[]): Tensor {
    const { gpu } = this.#model;
    if (this.#ids?.size !== tokens.length) {
      this.#ids?.dispose();
      this.#ids = gpu.keep(gpu.empty([tokens.length], 'u32'));
    }
    const target = gpu.range(this.#ids, 'decode');
    for (const [row, token] of tokens.entries()) {
      gpu.copyBytes(gpu.range(token, 'decode'), { ...target, offset: target.offset + 4 * row }, 4);
    }
    return this.#ids;
  }

  #record(tokens: readonly Tensor[], cache: KvCache): Tensor {
    const { gpu } = this.#model;
    const logits = gpu.tidy(() =>
      this.#forward(tokens.length === 1 ? (tokens[0] as Tensor) : concatenate(tokens), cache),
    );
    this.#dropLogits();
    this.#logits = gpu.keep(logits);
    return logits;
  }

  #forward(ids: Tensor, cache: KvCache): Tensor {
    const companions = withCompanions(this.#run.companions ?? [], ids);
    const { hidden, logits } = this.#model.forward(ids, { cache, run: this.#run, companions });
    hidden.dispose();
    return logits as Tensor;
  }

  #dropLogits(): void {
    this.#logits?.dispose();
    this.#logits = undefined;
  }
}

function same(a: readonly Tensor[], b: readonly Tensor[]): boolean {
  return a.length === b.length && a.every((tensor, index) => tensor === b[index]);
}

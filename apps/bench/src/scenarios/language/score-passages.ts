import { agreement, bootstrapMean, klDivergence, type Method, type Tensor, wilsonInterval } from '@saccade/core';
import { type LanguageModel, scoreContinuation } from '@saccade/models';
import { cacheMemory } from '../../measure/cache-memory.ts';
import { DensityMeter } from '../../measure/density.ts';
import { actsOnPrompt } from '../../measure/prompt-methods.ts';
import type { Measured } from '../../scenario.ts';
import type { Passage } from './passages.ts';

/** What the dense run said at each step of a passage. */
interface DenseSteps {
  readonly logits: readonly Float32Array[];
  readonly greedy: Uint32Array;
}

/** Scores methods on passages; the dense run comes first and is what the others are compared with. */
export class PassageScorer {
  readonly #model: LanguageModel;
  readonly #passages: readonly Passage[];
  readonly #seed: number;
  readonly #dense: DenseSteps[] = [];

  constructor(model: LanguageModel, passages: readonly Passage[], seed: number) {
    this.#model = model;
    this.#passages = passages;
    this.#seed = seed;
  }

  /** Decodes all passages under a method; without one, densely. */
  async measure(method: () => Method | undefined, signal: AbortSignal): Promise<Measured> {
    const isDense = this.#dense.length === 0;
    const meter = new DensityMeter();
    const losses: number[] = [];
    const divergences: number[] = [];
    const agreements: number[] = [];
    const answers = { right: 0, all: 0 };
    for (const [index, passage] of this.#passages.entries()) {
      const steps = await this.#decode(passage, meter.behind(method()), signal, losses);
      if (isDense) this.#dense.push(steps);
      const dense = this.#dense[index] as DenseSteps;
      // The first row comes from the context alone, which most methods share.
      divergences.push(
        ...steps.logits.slice(1).map((row, step) => klDivergence(dense.logits[step + 1] as Float32Array, row)),
      );
      for (const [from, to] of passage.answers ?? []) {
        answers.all++;
        const wanted = passage.continuation.slice(from, to);
        if (wanted.every((id, at) => steps.greedy[from + at] === id)) answers.right++;
      }
      agreements.push(agreement(dense.greedy.subarray(1), steps.greedy.subarray(1)));
    }
    const sampling = { seed: this.#seed, blockLength: 8 };
    return {
      samples: answers.all || losses.length,
      ...meter.densities,
      quality: {
        ...(answers.all > 0 ? { accuracy: wilsonInterval(answers.right, answers.all) } : {}),
        perplexity: bootstrapMean(losses, { ...sampling, transform: Math.exp }),
        ...(isDense
          ? {}
          : {
              klToDense: bootstrapMean(divergences, sampling),
              agreement: agreements.reduce((sum, share) => sum + share, 0) / agreements.length,
            }),
      },
      speed: {},
      memory: cacheMemory(this.#passages[0]?.prompt.kv, this.#model.facts),
    };
  }

  async #decode(
    passage: Passage,
    method: readonly Method[],
    signal: AbortSignal,
    losses: number[],
  ): Promise<DenseSteps> {
    const { gpu } = this.#model;
    const rows: Tensor[] = [];
    try {
      // Methods that act on prompts run theirs; the others share the dense one.
      const prompt = method.some(actsOnPrompt) ? passage.prompt.ids : passage.prompt;
      const score = await scoreContinuation(this.#model, prompt, passage.continuation, {
        method,
        signal,
        onLogits: (logits) => rows.push(gpu.keep(logits.alias())),
      });
      losses.push(...score.losses);
      return { logits: (await gpu.read(rows)) as Float32Array[], greedy: score.greedy };
    } finally {
      for (const row of rows) row.dispose();
    }
  }
}

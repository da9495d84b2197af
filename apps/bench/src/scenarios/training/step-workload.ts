import type { Gpu } from '@saccade/core';
import { AdamW, CausalLm, Initializer, setPrecision, TokenWindows, train } from '@saccade/core/nn';
import { calibrationText } from '../../data/text.ts';
import { type TrainingShape, vocabulary } from '../../measure/training-shape.ts';
import { halfPrecisionEntry, recomputeEntry } from './entries.ts';

/** A model and its optimizer, which make one step after another on a novel's bytes. */
export class StepWorkload {
  readonly #gpu: Gpu;
  readonly #model: CausalLm;
  readonly #optimizer: AdamW;
  readonly #batches: TokenWindows;
  readonly #recompute: boolean;
  readonly #scaled: boolean;
  #step = 0;

  constructor(gpu: Gpu, shape: TrainingShape, method: string, seed: number) {
    const { length, batch, ...sizes } = shape;
    this.#gpu = gpu;
    const init = new Initializer(gpu, { seed });
    this.#model = new CausalLm(init, { ...sizes, vocabularySize: vocabulary, contextLength: length });
    this.#optimizer = new AdamW(this.#model.parameters(), { groups: [{ match: /norm/, weightDecay: 0 }] });
    this.#batches = new TokenWindows(new TextEncoder().encode(calibrationText()), { length, batch, seed });
    this.#recompute = method === recomputeEntry.name;
    this.#scaled = method === halfPrecisionEntry.name;
    if (this.#scaled) setPrecision(this.#model, 'f16');
  }

  /** One step, its loss read back. */
  async run(): Promise<number> {
    const number = this.#step++;
    const { entries } = await train({
      module: this.#model,
      optimizer: this.#optimizer,
      steps: 1,
      clip: 1,
      ...(this.#scaled ? { lossScaling: { initial: 1024 } } : {}),
      loss: () => {
        const { ids, targets } = this.#batches.tensors(this.#gpu, number);
        return this.#model.loss(ids, targets, { recompute: this.#recompute });
      },
    });
    return entries[0]?.loss ?? Number.NaN;
  }

  /** Most bytes that a step takes beside what lives before it, parameters and the optimizer's averages included. */
  async peakBytes(before: number): Promise<number> {
    this.#gpu.resetPeak();
    await this.run();
    return this.#gpu.stats().peakBytes - before;
  }

  dispose(): void {
    this.#model.dispose();
    this.#optimizer.dispose();
  }
}

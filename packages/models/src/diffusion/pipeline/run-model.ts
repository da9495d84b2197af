import { type Gpu, type ModelFacts, RefusedError, TextlessModel } from '@saccade/core';
import type { DiffusionModel } from '../model/diffusion-model.ts';

/** A model as the methods of one run see it: its facts include the number of steps and the size of this run. */
export class RunModel extends TextlessModel {
  readonly facts: ModelFacts;
  readonly #model: DiffusionModel;

  constructor(model: DiffusionModel, facts: Pick<ModelFacts, 'denoisingSteps' | 'tokenGrid'>) {
    super();
    this.#model = model;
    this.facts = { ...model.facts, ...facts };
  }

  get gpu(): Gpu {
    return this.#model.gpu;
  }

  /** The model itself, for methods that calibrate. */
  get model(): DiffusionModel {
    return this.#model;
  }

  /** It lives as long as the pipeline. */
  dispose(): void {}

  protected refuse(what: string): never {
    throw new RefusedError(`${this.facts.name} is a diffusion model and has no such thing as ${what}.`);
  }
}

import { type Gpu, type ModelFacts, RefusedError, TextlessModel } from '@saccade/core';
import type { DiffusionPipeline } from '@saccade/models';

/** A diffusion pipeline as the bench holds models. */
export class PipelineModel extends TextlessModel {
  readonly gpu: Gpu;
  readonly facts: ModelFacts;
  readonly pipeline: DiffusionPipeline;

  constructor(pipeline: DiffusionPipeline) {
    super();
    this.gpu = pipeline.gpu;
    this.facts = pipeline.facts;
    this.pipeline = pipeline;
  }

  dispose(): void {
    this.pipeline.dispose();
  }

  protected refuse(what: string): never {
    throw new RefusedError(`${this.facts.name} is a diffusion model and has no such thing as ${what}.`);
  }
}

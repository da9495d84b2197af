import type { Gpu } from '@saccade/core';
import { NeighborhoodPlan, type NeighborhoodPlanOptions, type PlannedTokens } from './plan.ts';

/** What a run keeps: a plan for each size that its tokens had. */
export class GnaState {
  /** Layers that it acts in, counted over the global ones. */
  readonly layers: ReadonlySet<number>;
  readonly #plans = new Map<string, NeighborhoodPlan>();

  constructor(layers: readonly number[]) {
    this.layers = new Set(layers);
  }

  get plans(): readonly NeighborhoodPlan[] {
    return [...this.#plans.values()];
  }

  /** The plan for these tokens, made once. */
  plan(gpu: Gpu, tokens: PlannedTokens, options: NeighborhoodPlanOptions): NeighborhoodPlan {
    const key = JSON.stringify(tokens);
    const plan = this.#plans.get(key) ?? new NeighborhoodPlan(gpu, tokens, options);
    this.#plans.set(key, plan);
    return plan;
  }

  dispose(): void {
    for (const plan of this.#plans.values()) plan.dispose();
    this.#plans.clear();
  }
}

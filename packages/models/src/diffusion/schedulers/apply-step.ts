import { add, maximum, minimum, scale, type Tensor } from '@saccade/core';
import type { SolverStep } from './solver-step.ts';

export interface StepInput {
  /** The noisy sample that the step begins with. */
  readonly sample: Tensor;
  /** What the network predicted of it, in its shape. */
  readonly prediction: Tensor;
  /** Clean estimate of the step before, where there was one. */
  readonly previousClean?: Tensor | undefined;
  /** Standard normal noise, called where the step adds some. */
  readonly noise: () => Tensor;
}

export interface StepOutput {
  readonly next: Tensor;
  /** The step's estimate of the clean sample. */
  readonly clean: Tensor;
}

/** One step of a solver on the GPU. Records only. */
export function applyStep(step: SolverStep, { sample, prediction, previousClean, noise }: StepInput): StepOutput {
  const clean = clipped(
    weightedSum([
      [sample, step.clean.sample],
      [prediction, step.clean.prediction],
    ]),
    step.clip,
  );
  const { next } = step;
  return {
    clean,
    next: weightedSum([
      [sample, next.sample],
      [prediction, next.prediction],
      [clean, next.clean],
      ...(previousClean ? ([[previousClean, next.previousClean]] as const) : []),
      ...(next.noise === 0 ? [] : ([[noise(), next.noise]] as const)),
    ]),
  };
}

/** Sum of tensors of one shape times their factors. */
export function weightedSum(terms: readonly (readonly [Tensor, number])[]): Tensor {
  const [first, ...rest] = terms.filter(([, factor]) => factor !== 0);
  if (!first) {
    const [tensor] = terms[0] as readonly [Tensor, number];
    return tensor.gpu.zeros(tensor.shape);
  }
  const scaled = ([tensor, factor]: readonly [Tensor, number]) => scale(tensor, factor);
  return rest.reduce((sum, term) => add(sum, scaled(term)), scaled(first));
}

function clipped(x: Tensor, bound: number | undefined): Tensor {
  if (bound === undefined) return x;
  const limit = (value: number) => x.gpu.tensor([value], [1]).reshape(x.shape.map(() => 1));
  return maximum(minimum(x, limit(bound)), limit(-bound));
}

import type { Tracked, Value } from '../autodiff/index.ts';
import type { Inspect } from '../autodiff/tape.ts';
import { differentiate } from '../autodiff/value-and-grad.ts';
import { ArgumentError } from '../errors.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { Module } from './module.ts';
import { nest } from './nest.ts';
import type { Parameter } from './parameter.ts';

/** Gradients of parameters by name. */
export type Gradients = Readonly<Record<string, Tensor>>;

/** The loss and its gradients. The caller owns all tensors (in a scope: the scope does). */
export interface LossAndGradients {
  /** f32 [] */
  readonly loss: Tensor;
  /** f32 in the shapes of the trainable parameters, by name. */
  readonly gradients: Gradients;
}

/**
 * Runs `loss`, in which the trainable parameters of `module` are tracked, and differentiates by them.
 *
 * @throws ArgumentError where no parameter is trainable; further as `valueAndGrad`
 */
export function moduleGradients(module: Module, loss: () => Value): LossAndGradients {
  return inspectedModuleGradients(module, loss);
}

/** {@link moduleGradients}, with somebody looking at the result of every operation. */
export function inspectedModuleGradients(module: Module, loss: () => Value, inspect?: Inspect): LossAndGradients {
  const trainable = [...module.parameters()].filter(([, { trainable }]) => trainable);
  if (trainable.length === 0)
    throw new ArgumentError('moduleGradients: module', 'only frozen parameters', 'one to train');
  const tensors = Object.fromEntries(trainable.map(([name, { tensor }]) => [name, tensor]));
  const { value, gradients } = differentiate<[Record<string, Tensor>]>(
    (tracked) => trackAll(trainable, tracked, loss),
    [tensors],
    inspect,
  );
  return { loss: value, gradients: gradients[0] };
}

function trackAll(
  parameters: readonly (readonly [string, Parameter])[],
  tracked: Readonly<Record<string, Tracked>>,
  work: () => Value,
): Value {
  return nest(parameters, ([name, parameter], inner) => parameter.track(tracked[name] as Tracked, inner), work);
}

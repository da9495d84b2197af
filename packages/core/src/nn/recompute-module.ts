import { recompute, Tracked, type Value } from '../autodiff/index.ts';
import type { Module } from './module.ts';
import { nest } from './nest.ts';

/**
 * Activation checkpointing of a part of a model, see {@link recompute}: of `work`, only x is kept until the backward pass, which runs it
 * again.
 *
 * @param module owns all parameters that `work` uses
 * @param work from x to a result; x and the parameters are the only tracked values in it
 */
export function recomputeModule(module: Module, x: Value, work: (x: Value) => Value): Value {
  const parameters = [...module.parameters().values()].filter(({ value }) => value instanceof Tracked);
  return recompute([x, ...parameters.map(({ value }) => value)], (input, ...values) =>
    nest(
      parameters.map((parameter, index) => ({ parameter, value: values[index] as Value })),
      ({ parameter, value }, inner) => parameter.substitute(value, inner),
      () => work(input as Value),
    ),
  );
}

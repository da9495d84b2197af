import type { Tensor } from '../tensor/tensor.ts';
import { record, Tracked, type Value } from './tape.ts';

/** How the gradient of an operation's result becomes that of one input. */
export interface InputGradient {
  /** Tensors that `of` reads: they live until the backward pass has used them. */
  readonly saved: readonly Tensor[];
  readonly of: (gradient: Tensor, ...saved: Tensor[]) => Tensor;
}

/** A result and the gradients of the inputs, in their order; undefined for an input that has none, such as indices. */
export interface DifferentiableResult {
  readonly output: Tensor;
  readonly gradients: readonly (InputGradient | undefined)[];
}

/** The gradient of one input, from what it saves. */
export function from<S extends readonly Tensor[]>(
  saved: readonly [...S],
  of: (gradient: Tensor, ...saved: S) => Tensor,
): InputGradient {
  return { saved, of: of as unknown as InputGradient['of'] };
}

/**
 * Declares one call of an op whose inputs have gradients that do not share work. Only what the gradients of tracked inputs
 * save is kept: a product with a constant holds the constant and not the tracked factor.
 */
export function differentiable<I extends readonly Value[]>(
  name: string,
  inputs: readonly [...I],
  forward: (...tensors: { [K in keyof I]: Tensor }) => DifferentiableResult,
): Value {
  const tracked = inputs.map((input) => input instanceof Tracked);
  return record(name, inputs, (...tensors) => {
    const { output, gradients } = (forward as unknown as (...given: readonly Tensor[]) => DifferentiableResult)(
      ...tensors,
    );
    const rules = gradients.map((rule, place) => (tracked[place] ? rule : undefined));
    return {
      output,
      saved: rules.flatMap((rule) => rule?.saved ?? []),
      backward: (gradient, saved) => {
        let at = 0;
        return rules.map((rule) => {
          if (!rule) return undefined;
          const own = saved.slice(at, at + rule.saved.length);
          at += rule.saved.length;
          return rule.of(gradient, ...own);
        });
      },
    };
  });
}

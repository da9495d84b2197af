import * as gruOps from '../../ops/recurrent/gru.ts';
import * as lstmOps from '../../ops/recurrent/lstm.ts';
import type { RecurrentOptions } from '../../ops/recurrent/recurrence.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { record, type Value } from '../tape.ts';

/** How a step's gates depend on the state before; all may be tracked. */
export interface DifferentiableRecurrentWeights {
  readonly weight: Value;
  readonly bias?: Value | undefined;
}

/** {@link lstmOps.lstm}: by the input gates, the weights and the first state. */
export function lstm(
  inputGates: Value,
  { weight, bias }: DifferentiableRecurrentWeights,
  first: { readonly hidden: Value; readonly cell: Value },
  options: RecurrentOptions = {},
): Value {
  const inputs = [inputGates, weight, first.hidden, first.cell, ...(bias ? [bias] : [])];
  return record('lstm', inputs, (...tensors) => {
    const [given, w, hidden, cell, b] = tensors as [Tensor, Tensor, Tensor, Tensor, Tensor?];
    const states = lstmOps.lstm(given, { weight: w, bias: b }, { hidden, cell }, options);
    return {
      output: states,
      saved: [states, given, w, ...(b ? [b] : [])],
      backward: (gradient, saved) => {
        const [own, gates, weights, offset] = saved as [Tensor, Tensor, Tensor, Tensor?];
        const recurrent = { weight: weights, bias: offset };
        const found = lstmOps.lstmGradients(gradient, own, gates, recurrent, options);
        return [found.inputGates, found.weight, found.hidden, found.cell, found.bias];
      },
    };
  });
}

/** {@link gruOps.gru}: by the input gates, the weights and the first state. */
export function gru(
  inputGates: Value,
  { weight, bias }: DifferentiableRecurrentWeights,
  first: Value,
  options: RecurrentOptions = {},
): Value {
  const inputs = [inputGates, weight, first, ...(bias ? [bias] : [])];
  return record('gru', inputs, (...tensors) => {
    const [given, w, hidden, b] = tensors as [Tensor, Tensor, Tensor, Tensor?];
    const states = gruOps.gru(given, { weight: w, bias: b }, hidden, options);
    return {
      output: states,
      saved: [states, given, w, ...(b ? [b] : [])],
      backward: (gradient, saved) => {
        const [own, gates, weights, offset] = saved as [Tensor, Tensor, Tensor, Tensor?];
        const found = gruOps.gruGradients(gradient, own, gates, { weight: weights, bias: offset }, options);
        return [found.inputGates, found.weight, found.hidden, found.bias];
      },
    };
  });
}

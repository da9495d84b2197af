import { mathFunctions } from '../../kernels/wgsl-math.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { contiguous } from '../copy.ts';
import { defineElementKernel, floatBindings, launchElements } from '../element-kernel.ts';
import { add } from '../elementwise.ts';
import { linear } from '../matmul/linear.ts';
import {
  at,
  backOverSteps,
  firstState,
  overSteps,
  type RecurrentGradients,
  type RecurrentOptions,
  type RecurrentWeights,
  recurrentGates,
  recurrentSizes,
  recurrentWeightGradients,
  setFirstState,
  statesBefore,
  stepParameters,
  stepValues,
  viewAt,
} from './recurrence.ts';

/** Gates of a unit in PyTorch's order; its first ones stand at `from_input` and `from_hidden`. */
const gates = `
  let r = sigmoid(input_gates[from_input] + hidden_gates[from_hidden]);
  let z = sigmoid(input_gates[from_input + params.hidden] + hidden_gates[from_hidden + params.hidden]);
  let candidate = hidden_gates[from_hidden + 2u * params.hidden];
  let n = stable_tanh(input_gates[from_input + 2u * params.hidden] + r * candidate);`;

/** One invocation per unit [B, H] of one step: `h' = (1 - z) n + z h`. */
const stepKernel = defineElementKernel({
  name: 'gruStep',
  bindings: () => floatBindings(['input_gates', 'hidden_gates'], ['states']),
  parameters: stepParameters,
  declarations: () => mathFunctions('f32'),
  main: () => `
  let from_hidden = at / params.hidden * 3u * params.hidden + at % params.hidden;
  let from_input = 3u * params.step * params.total + from_hidden;
  ${gates}
  let before = states[params.from_state * params.total + at];
  states[params.to_state * params.total + at] = n + z * (before - n);`,
});

/**
 * One invocation per unit of one step, from the gradient by h' (that of the states, and what the step behind handed back) to those by both kinds of
 * gates, and by h as far as it does not go through the gates, which takes the place of what was handed back.
 */
const stepGradientKernel = defineElementKernel({
  name: 'gruStepGradient',
  bindings: () =>
    floatBindings(
      ['input_gates', 'hidden_gates', 'states', 'by_states'],
      ['by_hidden', 'by_input_gates', 'by_hidden_gates'],
    ),
  parameters: stepParameters,
  declarations: () => mathFunctions('f32'),
  main: () => `
  let from_input = 3u * (params.step * params.total + at / params.hidden * params.hidden) + at % params.hidden;
  let from_hidden = from_input;
  ${gates}
  let before = states[params.from_state * params.total + at];
  let by_h = by_states[params.to_state * params.total + at] + by_hidden[at];
  let by_n = by_h * (1.0 - z) * (1.0 - n * n);
  let by_r = by_n * candidate * r * (1.0 - r);
  let by_z = by_h * (before - n) * z * (1.0 - z);
  by_input_gates[from_input] = by_r;
  by_input_gates[from_input + params.hidden] = by_z;
  by_input_gates[from_input + 2u * params.hidden] = by_n;
  by_hidden_gates[from_input] = by_r;
  by_hidden_gates[from_input + params.hidden] = by_z;
  by_hidden_gates[from_input + 2u * params.hidden] = by_n * r;
  by_hidden[at] = by_h * z;`,
});

/**
 * Gated recurrent units over time (Cho et al., 2014, in PyTorch's form): `h' = (1 - z) n + z h` with `r`, `z` the sigmoids of the given part plus
 * `h weight^T + bias`, and `n = tanh(given + r (h weight^T + bias))`. Per step one matrix product and one dispatch.
 *
 * @param inputGates f32 [T, B, 3 H]: the part of the gates r, z, n that comes from the input
 * @param recurrent weight f32 [3 H, H]
 * @param first f32 [B, H]: the state before the first step
 * @returns f32 [T + 1, B, H]: all states; the first one at index 0, in reverse at T
 * @throws ShapeError where shapes do not fit
 */
export function gru(
  inputGates: Tensor,
  recurrent: RecurrentWeights,
  first: Tensor,
  options: RecurrentOptions = {},
): Tensor {
  const { gpu } = inputGates;
  const { reverse = false } = options;
  const { steps, batches, hidden } = recurrentSizes('gru', 3, inputGates, recurrent, [first]);
  return gpu.tidy(() => {
    const states = gpu.empty([steps + 1, batches, hidden]);
    const given = contiguous(inputGates);
    const units = batches * hidden;
    setFirstState(states, first, reverse);
    overSteps(states, reverse, (step, before) => {
      launchElements(gpu, stepKernel, {}, units, {
        bindings: [given, recurrentGates(before, recurrent), states],
        parameters: stepValues(hidden, step),
        cost: { flops: 30 * units, bytes: 32 * units },
      });
    });
    return states;
  });
}

/**
 * The gradients of {@link gru}, back through time. The hidden gates are computed again, in one product for all steps, as is the gradient by the
 * weight.
 *
 * @param gradient f32 [T + 1, B, H], of the states
 * @param states what the forward call returned
 */
export function gruGradients(
  gradient: Tensor,
  states: Tensor,
  inputGates: Tensor,
  recurrent: RecurrentWeights,
  options: RecurrentOptions = {},
): RecurrentGradients {
  const { gpu } = states;
  const { reverse = false } = options;
  const [, batches, hidden] = states.shape as [number, number, number];
  const steps = inputGates.shape[0] as number;
  return gpu.tidy(() => {
    const units = batches * hidden;
    const before = statesBefore(states, steps, reverse);
    const [given, byStates] = [contiguous(inputGates), contiguous(gradient)];
    const hiddenGates = recurrentGates(before, recurrent);
    const [byInput, byHiddenGates] = [gpu.empty(inputGates.shape), gpu.empty(inputGates.shape)];
    const byHidden = backOverSteps(states, reverse, (step, behind) => {
      launchElements(gpu, stepGradientKernel, {}, units, {
        bindings: [given, hiddenGates, states, byStates, behind, byInput, byHiddenGates],
        parameters: stepValues(hidden, step),
        cost: { flops: 50 * units, bytes: 64 * units },
      });
      return linear(viewAt(byHiddenGates, step.step), recurrent.weight.transpose(), { residual: behind });
    });
    return {
      inputGates: byInput,
      ...recurrentWeightGradients(byHiddenGates, before),
      hidden: add(byHidden, at(byStates, firstState(steps, reverse))),
    };
  });
}

import { defineKernel } from '../../kernels/kernel.ts';
import { mathFunctions } from '../../kernels/wgsl-math.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { contiguous, copyInto } from '../copy.ts';
import { add } from '../elementwise.ts';
import { linear } from '../matmul/linear.ts';
import { linearWeightGradient } from '../matmul/linear-gradient.ts';
import { sum } from '../reduce.ts';
import {
  at,
  firstState,
  type RecurrentOptions,
  type RecurrentWeights,
  recurrentGates,
  recurrentSizes,
  statesBefore,
  stepsOf,
} from './recurrence.ts';

const workgroupSize = 64;

/** Gates of a unit in PyTorch's order; its first ones stand at `from_input` and `from_hidden`. */
const gates = `
  let r = sigmoid(input_gates[from_input] + hidden_gates[from_hidden]);
  let z = sigmoid(input_gates[from_input + params.hidden] + hidden_gates[from_hidden + params.hidden]);
  let candidate = hidden_gates[from_hidden + 2u * params.hidden];
  let n = stable_tanh(input_gates[from_input + 2u * params.hidden] + r * candidate);`;

const parameters = [
  ['total', 'u32'],
  ['hidden', 'u32'],
  ['step', 'u32'],
  ['from_state', 'u32'],
  ['to_state', 'u32'],
] as const;

/** One invocation per unit [B, H] of one step: `h' = (1 - z) n + z h`. */
const stepKernel = defineKernel({
  name: 'gruStep',
  bindings: () => [
    { name: 'input_gates', type: 'array<f32>', access: 'read' },
    { name: 'hidden_gates', type: 'array<f32>', access: 'read' },
    { name: 'states', type: 'array<f32>', access: 'read_write' },
  ],
  parameters,
  workgroupSize: () => workgroupSize,
  source: () => ({
    declarations: mathFunctions('f32'),
    main: `
  let at = group * ${workgroupSize}u + lane;
  if (at >= params.total) { return; }
  let from_hidden = at / params.hidden * 3u * params.hidden + at % params.hidden;
  let from_input = 3u * params.step * params.total + from_hidden;
  ${gates}
  let before = states[params.from_state * params.total + at];
  states[params.to_state * params.total + at] = n + z * (before - n);`,
  }),
});

/**
 * One invocation per unit of one step, from the gradient by h' (that of the states, and what the step behind handed back) to those by both kinds of
 * gates, and by h as far as it does not go through the gates, which takes the place of what was handed back.
 */
const stepGradientKernel = defineKernel({
  name: 'gruStepGradient',
  bindings: () => [
    { name: 'input_gates', type: 'array<f32>', access: 'read' },
    { name: 'hidden_gates', type: 'array<f32>', access: 'read' },
    { name: 'states', type: 'array<f32>', access: 'read' },
    { name: 'by_states', type: 'array<f32>', access: 'read' },
    { name: 'by_hidden', type: 'array<f32>', access: 'read_write' },
    { name: 'by_input_gates', type: 'array<f32>', access: 'read_write' },
    { name: 'by_hidden_gates', type: 'array<f32>', access: 'read_write' },
  ],
  parameters,
  workgroupSize: () => workgroupSize,
  source: () => ({
    declarations: mathFunctions('f32'),
    main: `
  let at = group * ${workgroupSize}u + lane;
  if (at >= params.total) { return; }
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
  }),
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
    const start = firstState(steps, reverse);
    copyInto(states.slice(0, start, start + 1), first.reshape([1, batches, hidden]));
    for (const { step, from, to } of stepsOf(steps, reverse)) {
      gpu.tidy(() => {
        const before = states.slice(0, from, from + 1).reshape([batches, hidden]);
        gpu.launch(
          stepKernel,
          {},
          {
            bindings: [given, recurrentGates(before, recurrent), states],
            parameters: [units, hidden, step, from, to],
            workgroups: Math.ceil(units / workgroupSize),
            cost: { flops: 30 * units, bytes: 32 * units },
          },
        );
      });
    }
    return states;
  });
}

export interface GruGradients {
  /** f32 [T, B, 3 H] */
  readonly inputGates: Tensor;
  /** f32 [3 H, H] */
  readonly weight: Tensor;
  /** f32 [3 H] */
  readonly bias: Tensor;
  /** f32 [B, H]: by the first state */
  readonly hidden: Tensor;
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
): GruGradients {
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
    let byHidden = gpu.zeros([batches, hidden]);
    for (const { step, from, to } of stepsOf(steps, reverse).reverse()) {
      const behind = byHidden;
      byHidden = gpu.tidy(() => {
        gpu.launch(
          stepGradientKernel,
          {},
          {
            bindings: [given, hiddenGates, states, byStates, behind, byInput, byHiddenGates],
            parameters: [units, hidden, step, from, to],
            workgroups: Math.ceil(units / workgroupSize),
            cost: { flops: 50 * units, bytes: 64 * units },
          },
        );
        const own = byHiddenGates.slice(0, step, step + 1).reshape([batches, 3 * hidden]);
        return linear(own, recurrent.weight.transpose(), { residual: behind });
      });
      behind.dispose();
    }
    return {
      inputGates: byInput,
      weight: linearWeightGradient(byHiddenGates, before),
      bias: sum(byHiddenGates, { axis: [0, 1] }),
      hidden: add(byHidden, at(byStates, firstState(steps, reverse))),
    };
  });
}

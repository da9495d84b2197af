import { mathFunctions } from '../../kernels/wgsl-math.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { contiguous } from '../copy.ts';
import { defineElementKernel, floatBindings, launchElements } from '../element-kernel.ts';
import { add } from '../elementwise.ts';
import { matmul } from '../matmul/matmul.ts';
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

/** Gates of a unit in PyTorch's order; `base` is where its first one stands. */
const gates = `
  let i = sigmoid(gates[base]);
  let f = sigmoid(gates[base + params.hidden]);
  let g = stable_tanh(gates[base + 2u * params.hidden]);
  let o = sigmoid(gates[base + 3u * params.hidden]);`;

/** The cell states stand from `cells` on. */
const parameters = [...stepParameters, ['cells', 'u32']] as const;

/** One invocation per unit [B, H] of one step: `c' = f c + i g`, `h' = o tanh(c')`. */
const stepKernel = defineElementKernel({
  name: 'lstmStep',
  bindings: () => floatBindings(['gates'], ['states']),
  parameters,
  declarations: () => mathFunctions('f32'),
  main: () => `
  let base = at / params.hidden * 4u * params.hidden + at % params.hidden;
  ${gates}
  let cell = f * states[params.cells + params.from_state * params.total + at] + i * g;
  states[params.cells + params.to_state * params.total + at] = cell;
  states[params.to_state * params.total + at] = o * stable_tanh(cell);`,
});

/**
 * One invocation per unit of one step, from the gradients by h' and c' (those of the states, and what the step behind handed back) to those by the
 * gates and by c, which takes the place of the one by c'.
 */
const stepGradientKernel = defineElementKernel({
  name: 'lstmStepGradient',
  bindings: () => floatBindings(['gates', 'states', 'by_states', 'by_hidden'], ['by_cell', 'by_gates']),
  parameters,
  declarations: () => mathFunctions('f32'),
  main: () => `
  let base = 4u * (params.step * params.total + at / params.hidden * params.hidden) + at % params.hidden;
  ${gates}
  let to_state = params.to_state * params.total + at;
  let before = states[params.cells + params.from_state * params.total + at];
  let top = stable_tanh(states[params.cells + to_state]);
  let by_h = by_states[to_state] + by_hidden[at];
  let by_c = by_states[params.cells + to_state] + by_cell[at] + by_h * o * (1.0 - top * top);
  by_gates[base] = by_c * g * i * (1.0 - i);
  by_gates[base + params.hidden] = by_c * before * f * (1.0 - f);
  by_gates[base + 2u * params.hidden] = by_c * i * (1.0 - g * g);
  by_gates[base + 3u * params.hidden] = by_h * top * o * (1.0 - o);
  by_cell[at] = by_c * f;`,
});

/** Hidden and cell state before the first step, f32 [B, H] each. */
export interface LstmState {
  readonly hidden: Tensor;
  readonly cell: Tensor;
}

/**
 * A long short-term memory over time (Hochreiter and Schmidhuber, 1997, with forget gates): `c' = f c + i g`, `h' = o tanh(c')`, the gates
 * `sigmoid` (of g `tanh`) of the given part plus `h weight^T + bias`. Per step one matrix product and one dispatch.
 *
 * @param inputGates f32 [T, B, 4 H]: the part of the gates i, f, g, o that comes from the input
 * @param recurrent weight f32 [4 H, H]
 * @returns f32 [2, T + 1, B, H]: all states h and c; the first one at index 0, in reverse at T
 * @throws ShapeError where shapes do not fit
 */
export function lstm(
  inputGates: Tensor,
  recurrent: RecurrentWeights,
  { hidden: first, cell }: LstmState,
  options: RecurrentOptions = {},
): Tensor {
  const { gpu } = inputGates;
  const { reverse = false } = options;
  const { steps, batches, hidden } = recurrentSizes('lstm', 4, inputGates, recurrent, [first, cell]);
  return gpu.tidy(() => {
    const states = gpu.empty([2, steps + 1, batches, hidden]);
    const units = batches * hidden;
    const [hiddens, cells] = [viewAt(states, 0), viewAt(states, 1)];
    setFirstState(hiddens, first, reverse);
    setFirstState(cells, cell, reverse);
    overSteps(hiddens, reverse, (step, before) => {
      launchElements(gpu, stepKernel, {}, units, {
        bindings: [recurrentGates(before, recurrent, at(inputGates, step.step)), states],
        parameters: [...stepValues(hidden, step), (steps + 1) * units],
        cost: { flops: 30 * units, bytes: 28 * units },
      });
    });
    return states;
  });
}

export interface LstmGradients extends RecurrentGradients {
  /** f32 [B, H]: by the first cell state */
  readonly cell: Tensor;
}

/**
 * The gradients of {@link lstm}, back through time. The gates are computed again, in one product for all steps, as is the gradient by the weight.
 *
 * @param gradient f32 [2, T + 1, B, H], of the states
 * @param states what the forward call returned
 */
export function lstmGradients(
  gradient: Tensor,
  states: Tensor,
  inputGates: Tensor,
  recurrent: RecurrentWeights,
  options: RecurrentOptions = {},
): LstmGradients {
  const { gpu } = states;
  const { reverse = false } = options;
  const [, , batches, hidden] = states.shape as [number, number, number, number];
  const steps = inputGates.shape[0] as number;
  return gpu.tidy(() => {
    const units = batches * hidden;
    const [hiddens, byHiddens, byCells] = [states, gradient, gradient].map((x, index) =>
      at(x, index === 2 ? 1 : 0),
    ) as [Tensor, Tensor, Tensor];
    const before = statesBefore(hiddens, steps, reverse);
    const gates = recurrentGates(before, recurrent, contiguous(inputGates));
    const byGates = gpu.empty(inputGates.shape);
    const byStates = contiguous(gradient);
    const byCell = gpu.zeros([batches, hidden]);
    const byHidden = backOverSteps(hiddens, reverse, (step, behind) => {
      launchElements(gpu, stepGradientKernel, {}, units, {
        bindings: [gates, states, byStates, behind, byCell, byGates],
        parameters: [...stepValues(hidden, step), (steps + 1) * units],
        cost: { flops: 50 * units, bytes: 60 * units },
      });
      return matmul(viewAt(byGates, step.step), recurrent.weight);
    });
    const start = firstState(steps, reverse);
    return {
      inputGates: byGates,
      ...recurrentWeightGradients(byGates, before),
      hidden: add(byHidden, at(byHiddens, start)),
      cell: add(byCell, at(byCells, start)),
    };
  });
}

import { defineKernel } from '../../kernels/kernel.ts';
import { mathFunctions } from '../../kernels/wgsl-math.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { contiguous, copyInto } from '../copy.ts';
import { add } from '../elementwise.ts';
import { linearWeightGradient } from '../matmul/linear-gradient.ts';
import { matmul } from '../matmul/matmul.ts';
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

/** Gates of a unit in PyTorch's order; `base` is where its first one stands. */
const gates = `
  let i = sigmoid(gates[base]);
  let f = sigmoid(gates[base + params.hidden]);
  let g = stable_tanh(gates[base + 2u * params.hidden]);
  let o = sigmoid(gates[base + 3u * params.hidden]);`;

const parameters = [
  ['total', 'u32'],
  ['hidden', 'u32'],
  ['step', 'u32'],
  ['from_state', 'u32'],
  ['to_state', 'u32'],
  ['cells', 'u32'],
] as const;

/** One invocation per unit [B, H] of one step: `c' = f c + i g`, `h' = o tanh(c')`. */
const stepKernel = defineKernel({
  name: 'lstmStep',
  bindings: () => [
    { name: 'gates', type: 'array<f32>', access: 'read' },
    { name: 'states', type: 'array<f32>', access: 'read_write' },
  ],
  parameters,
  workgroupSize: () => workgroupSize,
  source: () => ({
    declarations: mathFunctions('f32'),
    main: `
  let at = group * ${workgroupSize}u + lane;
  if (at >= params.total) { return; }
  let base = at / params.hidden * 4u * params.hidden + at % params.hidden;
  ${gates}
  let cell = f * states[params.cells + params.from_state * params.total + at] + i * g;
  states[params.cells + params.to_state * params.total + at] = cell;
  states[params.to_state * params.total + at] = o * stable_tanh(cell);`,
  }),
});

/**
 * One invocation per unit of one step, from the gradients by h' and c' (those of the states, and what the step behind handed back) to those by the
 * gates and by c, which takes the place of the one by c'.
 */
const stepGradientKernel = defineKernel({
  name: 'lstmStepGradient',
  bindings: () => [
    { name: 'gates', type: 'array<f32>', access: 'read' },
    { name: 'states', type: 'array<f32>', access: 'read' },
    { name: 'by_states', type: 'array<f32>', access: 'read' },
    { name: 'by_hidden', type: 'array<f32>', access: 'read' },
    { name: 'by_cell', type: 'array<f32>', access: 'read_write' },
    { name: 'by_gates', type: 'array<f32>', access: 'read_write' },
  ],
  parameters,
  workgroupSize: () => workgroupSize,
  source: () => ({
    declarations: mathFunctions('f32'),
    main: `
  let at = group * ${workgroupSize}u + lane;
  if (at >= params.total) { return; }
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
  }),
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
    const start = firstState(steps, reverse);
    const [hiddens, cells] = [0, 1].map((kind) => states.slice(0, kind, kind + 1).reshape(states.shape.slice(1)));
    copyInto((hiddens as Tensor).slice(0, start, start + 1), first.reshape([1, batches, hidden]));
    copyInto((cells as Tensor).slice(0, start, start + 1), cell.reshape([1, batches, hidden]));
    for (const { step, from, to } of stepsOf(steps, reverse)) {
      gpu.tidy(() => {
        const before = (hiddens as Tensor).slice(0, from, from + 1).reshape([batches, hidden]);
        gpu.launch(
          stepKernel,
          {},
          {
            bindings: [recurrentGates(before, recurrent, at(inputGates, step)), states],
            parameters: [units, hidden, step, from, to, (steps + 1) * units],
            workgroups: Math.ceil(units / workgroupSize),
            cost: { flops: 30 * units, bytes: 28 * units },
          },
        );
      });
    }
    return states;
  });
}

export interface LstmGradients {
  /** f32 [T, B, 4 H] */
  readonly inputGates: Tensor;
  /** f32 [4 H, H] */
  readonly weight: Tensor;
  /** f32 [4 H] */
  readonly bias: Tensor;
  /** f32 [B, H] */
  readonly hidden: Tensor;
  /** f32 [B, H] */
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
    let byHidden = gpu.zeros([batches, hidden]);
    for (const { step, from, to } of stepsOf(steps, reverse).reverse()) {
      const behind = byHidden;
      byHidden = gpu.tidy(() => {
        gpu.launch(
          stepGradientKernel,
          {},
          {
            bindings: [gates, states, byStates, behind, byCell, byGates],
            parameters: [units, hidden, step, from, to, (steps + 1) * units],
            workgroups: Math.ceil(units / workgroupSize),
            cost: { flops: 50 * units, bytes: 60 * units },
          },
        );
        return matmul(byGates.slice(0, step, step + 1).reshape([batches, 4 * hidden]), recurrent.weight);
      });
      behind.dispose();
    }
    const start = firstState(steps, reverse);
    return {
      inputGates: byGates,
      weight: linearWeightGradient(byGates, before),
      bias: sum(byGates, { axis: [0, 1] }),
      hidden: add(byHidden, at(byHiddens, start)),
      cell: add(byCell, at(byCells, start)),
    };
  });
}

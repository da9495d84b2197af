const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

export interface RecurrentReferenceSizes {
  readonly steps: number;
  readonly batches: number;
  readonly hidden: number;
  /** Default false. */
  readonly reverse?: boolean;
}

/** Weight [gates H, H] and bias [gates H]. */
interface Recurrent {
  readonly weight: ArrayLike<number>;
  readonly bias: ArrayLike<number>;
}

/** Runs the steps in their order over states [T + 1, B, H] that hold the first one. */
function overTime(
  { steps, batches, hidden, reverse = false }: RecurrentReferenceSizes,
  visit: (step: number, batch: number, unit: number, from: number, to: number) => void,
): void {
  for (let turn = 0; turn < steps; turn++) {
    const step = reverse ? steps - 1 - turn : turn;
    const [from, to] = reverse ? [step + 1, step] : [step, step + 1];
    for (let batch = 0; batch < batches; batch++) {
      for (let unit = 0; unit < hidden; unit++) {
        visit(step, batch, unit, (from * batches + batch) * hidden, (to * batches + batch) * hidden + unit);
      }
    }
  }
}

/** One gate's part that comes from the state. */
function gateOf(
  { weight, bias }: Recurrent,
  row: number,
  states: ArrayLike<number>,
  from: number,
  hidden: number,
): number {
  let sum = bias[row] as number;
  for (let unit = 0; unit < hidden; unit++) {
    sum += (weight[row * hidden + unit] as number) * (states[from + unit] as number);
  }
  return sum;
}

function withFirst(
  first: ArrayLike<number>,
  { steps, batches, hidden, reverse }: RecurrentReferenceSizes,
): Float64Array {
  const states = new Float64Array((steps + 1) * batches * hidden);
  states.set(Array.from(first), reverse ? steps * batches * hidden : 0);
  return states;
}

/** States [2, T + 1, B, H] of an LSTM in plain f64 loops. */
export function lstmReference(
  inputGates: ArrayLike<number>,
  recurrent: Recurrent,
  first: { readonly hidden: ArrayLike<number>; readonly cell: ArrayLike<number> },
  sizes: RecurrentReferenceSizes,
): Float64Array {
  const { batches, hidden } = sizes;
  const [hiddens, cells] = [withFirst(first.hidden, sizes), withFirst(first.cell, sizes)];
  overTime(sizes, (step, batch, unit, from, to) => {
    const gate = (index: number) => {
      const given = inputGates[(step * batches + batch) * 4 * hidden + index * hidden + unit] as number;
      return given + gateOf(recurrent, index * hidden + unit, hiddens, from, hidden);
    };
    const cell = sigmoid(gate(1)) * (cells[from + unit] as number) + sigmoid(gate(0)) * Math.tanh(gate(2));
    cells[to] = cell;
    hiddens[to] = sigmoid(gate(3)) * Math.tanh(cell);
  });
  return Float64Array.from([...hiddens, ...cells]);
}

/** States [T + 1, B, H] of gated recurrent units in plain f64 loops. */
export function gruReference(
  inputGates: ArrayLike<number>,
  recurrent: Recurrent,
  first: ArrayLike<number>,
  sizes: RecurrentReferenceSizes,
): Float64Array {
  const { batches, hidden } = sizes;
  const states = withFirst(first, sizes);
  overTime(sizes, (step, batch, unit, from, to) => {
    const given = (index: number) =>
      inputGates[(step * batches + batch) * 3 * hidden + index * hidden + unit] as number;
    const own = (index: number) => gateOf(recurrent, index * hidden + unit, states, from, hidden);
    const z = sigmoid(given(1) + own(1));
    const n = Math.tanh(given(2) + sigmoid(given(0) + own(0)) * own(2));
    states[to] = (1 - z) * n + z * (states[from + unit] as number);
  });
  return states;
}

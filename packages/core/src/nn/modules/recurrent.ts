import { concatenate, contiguous, gru, linear, lstm, type Value } from '../../autodiff/index.ts';
import { ArgumentError } from '../../errors.ts';
import type { Initializer } from '../initializer.ts';
import { Module } from '../module.ts';
import type { Parameter } from '../parameter.ts';

export interface RecurrentSettings {
  /** Numbers per step of the input. */
  readonly inputs: number;
  /** Numbers of a state. */
  readonly hidden: number;
  /** Default true. */
  readonly bias?: boolean;
}

export interface StackedRecurrentSettings extends RecurrentSettings {
  /** Default 1. */
  readonly layers?: number;
  /** Every layer also runs from the last step to the first; the outputs stand side by side. Default false. */
  readonly bidirectional?: boolean;
}

/** Parameters of one layer and direction. */
interface Weights {
  readonly input: Parameter;
  readonly hidden: Parameter;
  readonly inputBias: Parameter | undefined;
  readonly hiddenBias: Parameter | undefined;
}

/** A layer in PyTorch's form and names, which end with `suffix`; initialised likewise, uniform within 1 / sqrt(hidden). */
function makeWeights(init: Initializer, gates: number, settings: RecurrentSettings): Weights {
  const { inputs, hidden, bias = true } = settings;
  const bound = 1 / Math.sqrt(hidden);
  const rows = gates * hidden;
  return {
    input: init.uniform([rows, inputs], bound),
    hidden: init.uniform([rows, hidden], bound),
    inputBias: bias ? init.uniform([rows], bound) : undefined,
    hiddenBias: bias ? init.uniform([rows], bound) : undefined,
  };
}

function named(weights: Weights, suffix: string): Record<string, Parameter> {
  const { input, hidden, inputBias, hiddenBias } = weights;
  return {
    [`weight_ih${suffix}`]: input,
    [`weight_hh${suffix}`]: hidden,
    ...(inputBias && hiddenBias ? { [`bias_ih${suffix}`]: inputBias, [`bias_hh${suffix}`]: hiddenBias } : {}),
  };
}

/** The part of the gates that comes from the input. */
function inputGates(x: Value, { input, inputBias }: Weights): Value {
  return linear(x, input.value, inputBias ? { bias: inputBias.value } : {});
}

const recurrentPart = ({ hidden, hiddenBias }: Weights) => ({ weight: hidden.value, bias: hiddenBias?.value });

/** One of an axis, without the axis. */
function pick(x: Value, axis: number, index: number): Value {
  return x.slice(axis, index, index + 1).reshape(x.shape.filter((_, other) => other !== axis));
}

/** States of a layer in one direction: [T + 1, B, H], the outputs of the steps and the last state among them. */
function readStates(states: Value, reverse: boolean): { readonly steps: Value; readonly last: Value } {
  const count = (states.shape[0] as number) - 1;
  return {
    steps: reverse ? states.slice(0, 0, count) : states.slice(0, 1, count + 1),
    last: pick(states, 0, reverse ? 0 : count),
  };
}

/** A layer's work in one direction on steps [T, B, E]: its outputs [T, B, H] and the last states, in the order of the first ones. */
type Direction = (
  x: Value,
  weights: Weights,
  first: readonly Value[],
  reverse: boolean,
) => { readonly steps: Value; readonly last: readonly Value[] };

const gruDirection: Direction = (x, weights, [hidden], reverse) => {
  const states = gru(inputGates(x, weights), recurrentPart(weights), hidden as Value, { reverse });
  const { steps, last } = readStates(states, reverse);
  return { steps, last: [last] };
};

const lstmDirection: Direction = (x, weights, [hidden, cell], reverse) => {
  const first = { hidden: hidden as Value, cell: cell as Value };
  const states = lstm(inputGates(x, weights), recurrentPart(weights), first, { reverse });
  const hiddens = readStates(pick(states, 0, 0), reverse);
  return { steps: hiddens.steps, last: [hiddens.last, readStates(pick(states, 0, 1), reverse).last] };
};

/** Layers of a recurrent cell, one after the other. */
abstract class Stacked extends Module {
  readonly #layers: readonly (readonly Weights[])[];
  readonly #hidden: number;

  constructor(init: Initializer, gates: number, settings: StackedRecurrentSettings) {
    super();
    const { inputs, hidden, layers = 1, bidirectional = false, bias = true } = settings;
    if (!(Number.isSafeInteger(layers) && layers >= 1)) {
      throw new ArgumentError('layers', layers, 'an integer of 1 or more');
    }
    const directions = bidirectional ? 2 : 1;
    this.#hidden = hidden;
    this.#layers = Array.from({ length: layers }, (_, layer) =>
      Array.from({ length: directions }, (__, direction) => {
        const weights = makeWeights(init, gates, { inputs: layer === 0 ? inputs : directions * hidden, hidden, bias });
        // Found by their names as properties are, which for this many are made rather than declared.
        Object.assign(this, named(weights, `_l${layer}${direction === 1 ? '_reverse' : ''}`));
        return weights;
      }),
    );
  }

  /** x [B, T, inputs] and the first states [layers directions, B, H] of each kind, zeros where there are none. */
  protected run(
    x: Value,
    first: readonly (Value | undefined)[],
    direction: Direction,
  ): { readonly output: Value; readonly last: Value[] } {
    const { gpu } = x;
    const batches = x.shape[0] as number;
    const zeros = gpu.zeros([batches, this.#hidden]);
    const last: Value[][] = first.map(() => []);
    let steps: Value = x.transpose(1, 0, 2);
    let state = 0;
    for (const layer of this.#layers) {
      const outputs = layer.map((weights, reverse) => {
        const own = first.map((states) => (states ? pick(states, 0, state) : zeros));
        state++;
        const found = direction(steps, weights, own, reverse === 1);
        found.last.forEach((each, kind) => {
          last[kind]?.push(each.reshape([1, batches, this.#hidden]));
        });
        return found.steps;
      });
      steps = outputs.length === 1 ? (outputs[0] as Value) : concatenate(outputs, 2);
    }
    return { output: contiguous(steps.transpose(1, 0, 2)), last: last.map((each) => concatenate(each)) };
  }
}

/** Gated recurrent units, with PyTorch's names, gate order and initialisation. */
export class Gru extends Stacked {
  constructor(init: Initializer, settings: StackedRecurrentSettings) {
    super(init, 3, settings);
  }

  /**
   * @param x f32 [B, T, inputs]
   * @param hidden f32 [layers directions, B, H]: the states before the first step. Default zeros.
   * @returns the outputs of the last layer, f32 [B, T, directions H], and the last states, as `hidden`
   */
  forward(x: Value, hidden?: Value): { readonly output: Value; readonly hidden: Value } {
    return x.gpu.tidy(() => {
      const { output, last } = this.run(x, [hidden], gruDirection);
      return { output, hidden: last[0] as Value };
    });
  }
}

/** A long short-term memory, with PyTorch's names, gate order and initialisation. */
export class Lstm extends Stacked {
  constructor(init: Initializer, settings: StackedRecurrentSettings) {
    super(init, 4, settings);
  }

  /**
   * @param x f32 [B, T, inputs]
   * @param first f32 [layers directions, B, H] each: the states before the first step. Default zeros.
   * @returns the outputs of the last layer, f32 [B, T, directions H], and the last states, as `first`
   */
  forward(
    x: Value,
    first?: { readonly hidden: Value; readonly cell: Value },
  ): { readonly output: Value; readonly hidden: Value; readonly cell: Value } {
    return x.gpu.tidy(() => {
      const { output, last } = this.run(x, [first?.hidden, first?.cell], lstmDirection);
      return { output, hidden: last[0] as Value, cell: last[1] as Value };
    });
  }
}

/** One step of a recurrent layer. */
abstract class Cell extends Module {
  protected readonly weights: Weights;

  constructor(init: Initializer, gates: number, settings: RecurrentSettings) {
    super();
    this.weights = makeWeights(init, gates, settings);
    Object.assign(this, named(this.weights, ''));
  }

  protected step(x: Value, first: readonly Value[], direction: Direction): readonly Value[] {
    const [batches, inputs] = x.shape as [number, number];
    return direction(x.reshape([1, batches, inputs]), this.weights, first, false).last;
  }
}

/** One step of {@link Gru}, with the names of PyTorch's GRUCell. */
export class GruCell extends Cell {
  constructor(init: Initializer, settings: RecurrentSettings) {
    super(init, 3, settings);
  }

  /** @param x f32 [B, inputs] @param hidden f32 [B, H] @returns f32 [B, H] */
  forward(x: Value, hidden: Value): Value {
    return x.gpu.tidy(() => this.step(x, [hidden], gruDirection)[0] as Value);
  }
}

/** One step of {@link Lstm}, with the names of PyTorch's LSTMCell. */
export class LstmCell extends Cell {
  constructor(init: Initializer, settings: RecurrentSettings) {
    super(init, 4, settings);
  }

  /** @param x f32 [B, inputs] @param state f32 [B, H] each @returns the next state */
  forward(
    x: Value,
    state: { readonly hidden: Value; readonly cell: Value },
  ): { readonly hidden: Value; readonly cell: Value } {
    return x.gpu.tidy(() => {
      const [hidden, cell] = this.step(x, [state.hidden, state.cell], lstmDirection);
      return { hidden: hidden as Value, cell: cell as Value };
    });
  }
}

import { RefusedError, ShapeError } from '../errors.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { RunState } from './run-state.ts';

/** Runs one layer on its input [N, E]. */
export type LayerBody = (layer: number, x: Tensor) => Tensor;

/** One layer: its activations, the methods that wrap it, and the tokens that go on to the next. */
export function runLayer(run: RunState, layer: number, x: Tensor, body: LayerBody): Tensor {
  const { layer: wrappers, selectTokens } = run.seams;
  if (wrappers.length === 0 && !selectTokens && !run.activations) return run.gpu.tidy(() => body(layer, x));
  return run.gpu.tidy(() => {
    const input = run.activation(layer, 'residual.pre', x);
    const output = run.activation(layer, 'residual.post', wrapped(run, layer, input, body));
    const selection = selectTokens?.method.selectTokens?.(run.context(selectTokens, layer, 0), output);
    const rest = selection ? run.running.select(output, selection) : output;
    // A method may give back its input or a tensor of its own; the pass frees what it gets.
    return rest.alias();
  });
}

/** The layer inside the methods that wrap it. */
function wrapped(run: RunState, layer: number, x: Tensor, body: LayerBody): Tensor {
  const { layer: wrappers } = run.seams;
  const pass = run.running;
  let ran = false;
  const from = (at: number, input: Tensor): Tensor => {
    const owner = wrappers[at];
    if (!owner) {
      if (ran)
        throw new RefusedError(
          `${wrappers.map(({ method }) => method.name).join(', ')}: layer ${layer} ran twice in one pass; call next once.`,
        );
      ran = true;
      return body(layer, input);
    }
    const output = owner.method.layer?.(run.context(owner, layer, 0), input, (inner, rows) =>
      rows === undefined ? from(at + 1, inner) : pass.within(rows, () => from(at + 1, inner)),
    ) as Tensor;
    if (output.shape[0] !== input.shape[0]) {
      throw new ShapeError(
        `${owner.method.name}: layer ${layer}`,
        `gave ${output.shape[0]} rows for ${input.shape[0]}; tokens leave through selectTokens.`,
      );
    }
    return output;
  };
  return from(0, x);
}

import { ArgumentError } from '../errors.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { record, Tape, Tracked, type Value } from './tape.ts';

/**
 * Runs `work` without keeping what its gradient needs: the backward pass runs it again (Chen et al., "Training deep nets with sublinear
 * memory cost", 2016). Costs one more forward pass of it, and saves all that lies between the inputs and the result. The
 * gradients have the same bits, as long as `work` computes the same both times: dropout draws by seed and stream.
 *
 * @param inputs all values that `work` computes with and that are to get gradients
 * @param work from the inputs to one result; other tensors in it are constants that live until the backward pass is over
 * @throws ArgumentError where `work` uses a tracked value that is not among the inputs
 */
export function recompute<I extends readonly Value[]>(
  inputs: readonly [...I],
  work: (...inputs: { [K in keyof I]: Value }) => Value,
): Value {
  const run = work as unknown as (...given: readonly Value[]) => Value;
  const tracked = inputs.map((input) => input instanceof Tracked);
  return record('recompute', inputs, (...tensors) => {
    const output = run(...tensors);
    if (output instanceof Tracked) {
      throw new ArgumentError('recompute: work', 'a tracked value from outside', 'the inputs and constants');
    }
    return {
      output,
      saved: tensors,
      backward: (gradient, saved) => gradientsOf(run, saved, tracked, gradient),
    };
  });
}

function gradientsOf(
  run: (...given: readonly Value[]) => Value,
  inputs: readonly Tensor[],
  tracked: readonly boolean[],
  gradient: Tensor,
): (Tensor | undefined)[] {
  const { gpu } = gradient;
  const tape = new Tape(gpu);
  try {
    const values = inputs.map((input, place) => (tracked[place] ? tape.track(input) : input));
    const by = values.filter((value) => value instanceof Tracked);
    let result: Value | undefined;
    gpu.tidy(() => {
      result = run(...values);
    });
    if (!(result instanceof Tracked)) return inputs.map(() => undefined);
    tape.stop();
    const found = tape.gradients(result, by, gradient);
    let next = 0;
    return inputs.map((_, place) => (tracked[place] ? found[next++] : undefined));
  } finally {
    tape.close();
  }
}

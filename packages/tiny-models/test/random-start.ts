import { copyInto, normalNumbers, type Tensor } from '@saccade/core';
import type { Module } from '@saccade/core/nn';

/** What a parameter begins with: normal numbers of this deviation, zeros, or what it is made with. */
export type Start = number | 'zeros' | 'kept';

/**
 * Fills a module's parameters as the training scripts do: the stream of the normal numbers is the place of the parameter's name among the
 * sorted names of the checkpoint.
 *
 * @param nameOf The checkpoint's name of a parameter.
 */
export function startRandomly(
  module: Module,
  seed: number,
  nameOf: (name: string) => string,
  start: (name: string, shape: readonly number[]) => Start,
): void {
  const parameters = [...module.parameters()].map(([name, { tensor }]) => [nameOf(name), tensor] as const);
  parameters.sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [stream, [name, tensor]] of parameters.entries()) {
    const { gpu, size, shape } = tensor;
    const how = start(name, shape);
    if (how === 'kept') continue;
    const values =
      how === 'zeros'
        ? new Float32Array(size)
        : normalNumbers(size, { seed, stream }).map((value) => value * Math.fround(how));
    gpu.tidy(() => copyInto(tensor as Tensor, gpu.tensor(values, shape)));
  }
}

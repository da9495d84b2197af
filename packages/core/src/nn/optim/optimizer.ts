import { ArgumentError, ShapeError } from '../../errors.ts';
import { sameShape } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { FileTensor } from '../../tensor/tensor-file.ts';
import type { Gradients } from '../module-gradients.ts';
import type { Parameter } from '../parameter.ts';
import { writeEntry } from '../tensor-entries.ts';

/** What an optimizer keeps between steps: tensors (`<kind>.<parameter>`), and how many steps a parameter has made where it counts. */
export interface OptimizerState<T = Tensor> {
  readonly tensors: ReadonlyMap<string, T>;
  readonly counts: Readonly<Record<string, number>>;
}

/** Changes parameters in place along gradients. */
export interface Optimizer {
  /**
   * One step; `rate` multiplies all learning rates. `control`, f32 [2] on the GPU, holds a factor on all gradients and whether
   * the step is made: where its second number is 0, parameters and what the optimizer keeps stay as they are (but the step
   * counts for Adam's bias correction).
   */
  step(gradients: Gradients, rate?: number, control?: Tensor): void;
  /** The tensors stay the optimizer's. */
  state(): OptimizerState;
  /** Goes on from a saved state. Nothing is changed where it does not fit. @throws ArgumentError, ShapeError */
  restore(state: OptimizerState<FileTensor>): void;
  /** Frees what it keeps. */
  dispose(): void;
}

/**
 * The tensors of a saved state by parameter and kind, on the GPU and kept.
 *
 * @throws ArgumentError for a parameter that is unknown or lacks a kind, ShapeError for another shape or dtype
 */
export function restoreTensors<K extends string>(
  kinds: readonly K[],
  parameters: ReadonlyMap<string, Parameter>,
  saved: ReadonlyMap<string, FileTensor>,
): Map<string, Record<K, Tensor>> {
  const names = new Set([...saved.keys()].map((name) => name.slice(name.indexOf('.') + 1)));
  for (const name of names) {
    const own = parameters.get(name)?.tensor;
    const entries = kinds.map((kind) => saved.get(`${kind}.${name}`));
    if (!own || entries.includes(undefined)) {
      throw new ArgumentError('restore: state', name, `${kinds.join(' and ')} of ${[...parameters.keys()].join(', ')}`);
    }
    for (const entry of entries) {
      if (entry && (entry.dtype !== 'f32' || !sameShape(entry.shape, own.shape))) {
        throw new ShapeError('restore', `${name} has ${entry.dtype}[${entry.shape}], the parameter f32[${own.shape}].`);
      }
    }
  }
  const [first] = parameters.values();
  if (!first) return new Map();
  // Kept together at the end: where memory runs out, nothing stays.
  return first.tensor.gpu.tidy(() => {
    const found = [...names].map((name): [string, Record<K, Tensor>] => {
      const { gpu, shape } = (parameters.get(name) as Parameter).tensor;
      const tensors = kinds.map((kind): [K, Tensor] => {
        const tensor = gpu.empty(shape);
        writeEntry(tensor, saved.get(`${kind}.${name}`) as FileTensor);
        return [kind, tensor];
      });
      return [name, Object.fromEntries(tensors) as Record<K, Tensor>];
    });
    for (const [, own] of found) for (const kind of kinds) own[kind].gpu.keep(own[kind]);
    return new Map(found);
  });
}

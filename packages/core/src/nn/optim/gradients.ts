import { ArgumentError } from '../../errors.ts';
import { add, divide, minimum, multiply, scale, sqrt } from '../../ops/elementwise.ts';
import { sum } from '../../ops/reduce.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Gradients } from '../module-gradients.ts';
import { partialSquares } from './global-norm.ts';

function mapGradients(gradients: Gradients, each: (gradient: Tensor, name: string) => Tensor): Gradients {
  return Object.fromEntries(Object.entries(gradients).map(([name, gradient]) => [name, each(gradient, name)]));
}

/** Clipped gradients and the norm that they had. */
export interface ClippedGradients {
  readonly gradients: Gradients;
  /** f32 []: the Euclidean norm of all gradients together, before clipping. */
  readonly norm: Tensor;
}

/**
 * Scales all gradients by one factor, so that their global norm is at most `most`: `most / (norm + 1e-6)` where that is below 1,
 * as in PyTorch. The norm stays on the GPU. The given gradients stay as they are.
 *
 * @throws ArgumentError without gradients, or for a norm that is not above 0
 */
export function clipGradients(gradients: Gradients, most: number): ClippedGradients {
  if (!(Number.isFinite(most) && most > 0)) throw new ArgumentError('clipGradients: most', most, 'a number above 0');
  const [first] = Object.values(gradients);
  if (!first) throw new ArgumentError('clipGradients: gradients', gradients, 'at least one');
  const { gpu } = first;
  return gpu.tidy(() => {
    const norm = sqrt(sum(partialSquares(Object.values(gradients))));
    const factor = minimum(divide(gpu.tensor([most], []), scale(norm, 1, 1e-6)), gpu.tensor([1], []));
    return { gradients: mapGradients(gradients, (gradient) => multiply(gradient, factor)), norm };
  });
}

/**
 * Adds gradients of several batches: `total + weight * gradients`, in the order of the calls. Frees `total`; the gradients
 * stay. Begin with undefined.
 *
 * @param weight such as 1 over the number of batches. Default 1
 * @throws ArgumentError for other names than those of `total`
 */
export function accumulateGradients(total: Gradients | undefined, gradients: Gradients, weight = 1): Gradients {
  const names = Object.keys(gradients);
  if (total && (Object.keys(total).length !== names.length || names.some((name) => !total[name]))) {
    throw new ArgumentError('accumulateGradients: gradients', names.join(', '), Object.keys(total).join(', '));
  }
  const [first] = Object.values(gradients);
  if (!first) return {};
  const added = first.gpu.tidy(() =>
    mapGradients(gradients, (gradient, name) => {
      const share = scale(gradient, weight);
      return total ? add(total[name] as Tensor, share) : share;
    }),
  );
  for (const tensor of Object.values(total ?? {})) tensor.dispose();
  return added;
}

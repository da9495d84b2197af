import * as ops from '../../ops/cross-entropy.ts';
import { crossEntropyGradient } from '../../ops/cross-entropy-gradient.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { differentiable, from } from '../differentiable.ts';
import type { Value } from '../tape.ts';

/** {@link ops.crossEntropy}: a loss per row, 0 for ignored ones. */
export function crossEntropy(input: Value, targets: Tensor, options: ops.CrossEntropyOptions = {}): Value {
  return differentiable('crossEntropy', [input, targets], (logits, list) => ({
    output: ops.crossEntropy(logits, list, options),
    gradients: [
      from([logits, list], (gradient, saved, places) => crossEntropyGradient(saved, places, gradient, options)),
      undefined,
    ],
  }));
}

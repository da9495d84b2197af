import type { GateActivation } from '../../ops/mlp.ts';
import { unaryReference } from './elementwise.ts';

/** `activation(gate) * up`. */
export function gatedActivationReference(
  gate: ArrayLike<number>,
  up: ArrayLike<number>,
  activation: GateActivation,
): Float64Array {
  return Float64Array.from(gate, (value, index) => unaryReference[activation](value) * (up[index] as number));
}

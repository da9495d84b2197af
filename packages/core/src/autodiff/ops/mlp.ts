import { multiply } from '../../ops/elementwise.ts';
import { unaryGradient } from '../../ops/elementwise-gradient.ts';
import { type GatedActivationOptions, gatedActivation as gatedActivationOp } from '../../ops/mlp.ts';
import { differentiable, from } from '../differentiable.ts';
import type { Value } from '../tape.ts';

/** {@link gatedActivationOp} of separate gate and up. */
export function gatedActivation(gateInput: Value, upInput: Value, options: GatedActivationOptions): Value {
  return differentiable('gatedActivation', [gateInput, upInput], (gate, up) => ({
    output: gatedActivationOp(gate, up, options),
    gradients: [
      from([gate, up], (gradient, savedGate, savedUp) =>
        unaryGradient(options.activation, savedGate, multiply(gradient, savedUp)),
      ),
      from([gate], (gradient, savedGate) => gatedActivationOp(savedGate, gradient, options)),
    ],
  }));
}

import { ShapeError } from '../../errors.ts';
import { multiply, sigmoid } from '../../ops/elementwise.ts';
import { unaryGradient } from '../../ops/elementwise-gradient.ts';
import { type GatedActivationOptions, gatedActivation as gatedActivationOp } from '../../ops/mlp.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { differentiable, from } from '../differentiable.ts';
import { Tracked, type Value } from '../tape.ts';

/** {@link gatedActivationOp} of separate gate and up, */
export function gatedActivation(gate: Value, up: Value, options: GatedActivationOptions): Value;
/** or of both side by side in the last axis. */
export function gatedActivation(gateUp: Value, options: GatedActivationOptions): Value;
export function gatedActivation(
  first: Value,
  second: Value | GatedActivationOptions,
  third?: GatedActivationOptions,
): Value {
  if ('shape' in second) return separate(first, second, third as GatedActivationOptions);
  // Without a tape the plain op reads both halves in place, and checks the width.
  if (!(first instanceof Tracked)) return gatedActivationOp(first, second);
  const width = first.shape.at(-1) ?? 0;
  if (width % 2 !== 0)
    throw new ShapeError('gatedActivation', `gateUp is [${first.shape}]; its last axis must be even.`);
  return separate(first.slice(-1, 0, width / 2), first.slice(-1, width / 2, width), second);
}

function separate(gateInput: Value, upInput: Value, options: GatedActivationOptions): Value {
  return differentiable('gatedActivation', [gateInput, upInput], (gate, up) => ({
    output: gatedActivationOp(gate, up, options),
    gradients: [
      from([gate, up], (gradient, savedGate, savedUp) =>
        unaryGradient(options.activation, derivativeInput(options, savedGate), multiply(gradient, savedUp)),
      ),
      from([gate], (gradient, savedGate) => gatedActivationOp(savedGate, gradient, options)),
    ],
  }));
}

/** What the derivative of the activation is a function of. */
function derivativeInput({ activation }: GatedActivationOptions, gate: Tensor): Tensor {
  return activation === 'sigmoid' ? sigmoid(gate) : gate;
}

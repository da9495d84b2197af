import { ArgumentError, ShapeError } from '../errors.ts';
import type { Variant } from '../kernels/kernel.ts';
import { mathFunctions } from '../kernels/wgsl-math.ts';
import { sameShape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { defineStridedKernel, launchStrided, stridedOperand } from './strided.ts';

/** `gelu` is the exact form, `geluTanh` its tanh approximation, `geluSigmoid` its quick one. */
export type GateActivation = 'silu' | 'sigmoid' | 'gelu' | 'geluTanh' | 'geluSigmoid';

/** Names of the activations in `mathFunctions`. */
export const gateFunctions: Readonly<Record<GateActivation, string>> = {
  silu: 'silu',
  sigmoid: 'sigmoid',
  gelu: 'gelu',
  geluTanh: 'gelu_tanh',
  geluSigmoid: 'gelu_sigmoid',
};

const flopsPerElement: Readonly<Record<GateActivation, number>> = {
  silu: 6,
  sigmoid: 5,
  gelu: 27,
  geluTanh: 11,
  geluSigmoid: 7,
};

interface GateVariant extends Variant {
  readonly activation: GateActivation;
}

const gateKernel = defineStridedKernel<GateVariant>({
  name: 'gatedActivation',
  inputs: 2,
  declarations: (_, type) => mathFunctions(type === 'f32' ? 'f32' : 'vec4<f32>'),
  expression: ({ activation }, [gate, up]) => `${gateFunctions[activation]}(${gate}) * ${up}`,
});

export interface GatedActivationOptions {
  readonly activation: GateActivation;
}

/**
 * The middle of a gated MLP, or a gate on the output of attention: `activation(gate) * up`. Broadcast views are read in place.
 *
 * @param gate floats [..., F]
 * @param up floats [..., F]
 * @returns [..., F]; f16 where both are, else f32
 * @throws ShapeError where shapes or dtypes do not fit.
 */
export function gatedActivation(gate: Tensor, up: Tensor, options: GatedActivationOptions): Tensor;
/**
 * The same with gate and up side by side, as one matrix product gives them.
 *
 * @param gateUp floats [..., 2 F]: the gate in the first half of the last axis
 * @returns [..., F]
 */
export function gatedActivation(gateUp: Tensor, options: GatedActivationOptions): Tensor;
export function gatedActivation(
  first: Tensor,
  second: Tensor | GatedActivationOptions,
  third?: GatedActivationOptions,
): Tensor {
  const { gpu } = first;
  return gpu.tidy(() => {
    if ('shape' in second) return launchGate(first, second, third);
    const width = first.shape.at(-1) ?? 0;
    if (first.rank === 0 || width % 2 !== 0) {
      throw new ShapeError('gatedActivation', `gateUp is [${first.shape}]; its last axis must be even.`);
    }
    return launchGate(first.slice(-1, 0, width / 2), first.slice(-1, width / 2, width), second);
  });
}

/** Throws {@link ArgumentError} unless it is an activation of a gate. */
export function checkGate(operation: string, activation: GateActivation | undefined): GateActivation {
  if (activation === undefined || !Object.hasOwn(gateFunctions, activation)) {
    throw new ArgumentError(`${operation}: activation`, activation, Object.keys(gateFunctions).join(', '));
  }
  return activation;
}

function launchGate(gate: Tensor, up: Tensor, options: GatedActivationOptions | undefined): Tensor {
  const activation = checkGate('gatedActivation', options?.activation);
  if (!sameShape(gate.shape, up.shape)) {
    throw new ShapeError('gatedActivation', `gate is [${gate.shape}], up is [${up.shape}].`);
  }
  for (const { dtype } of [gate, up]) {
    if (dtype !== 'f32' && dtype !== 'f16' && dtype !== 'bf16') {
      throw new ShapeError('gatedActivation', `got ${dtype}; allowed: f32, f16, bf16.`);
    }
  }
  const out = gate.gpu.empty(gate.shape, gate.dtype === 'f16' && up.dtype === 'f16' ? 'f16' : 'f32');
  launchStrided(gate.gpu, gateKernel, {
    operation: 'gatedActivation',
    shape: gate.shape,
    operands: [out, gate, up].map((tensor) => stridedOperand('gatedActivation', tensor)),
    variant: { activation },
    flopsPerElement: flopsPerElement[activation],
  });
  return out;
}

import type { Variant } from '../kernels/kernel.ts';
import { mathFunctions } from '../kernels/wgsl-math.ts';
import { broadcastShapes } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { defineStridedKernel, launchStrided, stridedOperand } from './strided.ts';

/** Derivatives in WGSL, of `a`: the input of the op, or where `of` says so its output. */
const derivatives = {
  exp: { of: 'output', wgsl: () => 'a' },
  log: { of: 'input', wgsl: () => '1.0 / a' },
  sqrt: { of: 'output', wgsl: () => '0.5 / a' },
  rsqrt: { of: 'output', wgsl: () => '-0.5 * a * a * a' },
  reciprocal: { of: 'output', wgsl: () => '-a * a' },
  absolute: { of: 'input', wgsl: () => 'sign(a)' },
  square: { of: 'input', wgsl: () => '2.0 * a' },
  sigmoid: { of: 'output', wgsl: () => 'a * (1.0 - a)' },
  tanh: { of: 'output', wgsl: () => '1.0 - a * a' },
  relu: { of: 'output', wgsl: (type) => `select(${type}(0.0), ${type}(1.0), a > ${type}(0.0))` },
  silu: { of: 'input', wgsl: () => 'sigmoid(a) * (1.0 + a * (1.0 - sigmoid(a)))' },
  gelu: { of: 'input', wgsl: () => 'gelu_derivative(a)' },
  geluTanh: { of: 'input', wgsl: () => 'gelu_tanh_derivative(a)' },
  geluSigmoid: {
    of: 'input',
    wgsl: () => 'sigmoid(1.702 * a) * (1.0 + 1.702 * a * (1.0 - sigmoid(1.702 * a)))',
  },
  leakyRelu: { of: 'input', wgsl: (type) => `select(${type}(params.alpha), ${type}(1.0), a > ${type}(0.0))` },
  elu: {
    of: 'input',
    wgsl: (type) => `select(params.alpha * exp(min(a, ${type}(0.0))), ${type}(1.0), a > ${type}(0.0))`,
  },
  softplus: { of: 'input', wgsl: () => 'sigmoid(a)' },
  hardSigmoid: { of: 'input', wgsl: (type) => `select(${type}(0.0), ${type}(0.16666667), abs(a) < ${type}(3.0))` },
  hardSwish: {
    of: 'input',
    wgsl: (type) =>
      `select(select(${type}(0.0), ${type}(1.0), a > ${type}(0.0)), a * 0.33333334 + 0.5, abs(a) < ${type}(3.0))`,
  },
} satisfies Record<string, { of: 'input' | 'output'; wgsl: (type: string) => string }>;

/** Elementwise ops of one input with a derivative that depends on it. */
export type DifferentiableUnary = keyof typeof derivatives;

/** Which of its tensors the gradient of an op reads. */
export function gradientReads(operation: DifferentiableUnary): 'input' | 'output' {
  return derivatives[operation].of;
}

/** The derivatives of the Gaussian error linear units: of x P(x), P the normal distribution function, and of x s(u(x)). */
const geluDerivatives = (type: string) => `
fn gelu_derivative(x: ${type}) -> ${type} {
  let z = min(abs(x), ${type}(14.0));
  let density = exp(-0.5 * z * z);
  let tail = 0.5 * scaled_erfc(0.70710678 * z) * density;
  return select(tail, 1.0 - tail, x >= ${type}(0.0)) + sign(x) * z * 0.39894228 * density;
}
fn gelu_tanh_derivative(x: ${type}) -> ${type} {
  let bounded = clamp(x, ${type}(-20.0), ${type}(20.0));
  let share = sigmoid(1.5957691216 * (bounded + 0.044715 * bounded * bounded * bounded));
  return share + bounded * share * (1.0 - share) * 1.5957691216 * (1.0 + 0.134145 * bounded * bounded);
}`;

interface UnaryGradientVariant extends Variant {
  readonly operation: DifferentiableUnary;
}

const unaryGradientKernel = defineStridedKernel<UnaryGradientVariant>({
  name: 'unaryGradient',
  inputs: 2,
  parameters: [['alpha', 'f32']],
  declarations: ({ operation }, type) => `${mathFunctions(type as 'f32' | 'vec4<f32>')}${geluDerivatives(type)}
fn derivative(a: ${type}) -> ${type} {
  return ${derivatives[operation].wgsl(type)};
}`,
  expression: (_, [a, gradient]) => `derivative(${a}) * ${gradient}`,
});

/**
 * The gradient of an elementwise op: its derivative times the gradient of its output.
 *
 * @param operation its name; of `geluTanh` it is {@link gelu} with `approximate: 'tanh'`
 * @param read floats: the input of the op, or its output, see {@link gradientReads}
 * @param gradient floats, same shape
 * @param alpha the slope of `leakyRelu`, the alpha of `elu`
 * @returns f32, same shape. At a kink PyTorch's choice: of `relu` and `absolute` 0.
 */
export function unaryGradient(operation: DifferentiableUnary, read: Tensor, gradient: Tensor, alpha = 0): Tensor {
  const { gpu, shape } = gradient;
  return gpu.tidy(() => {
    const out = gpu.empty(shape);
    launchStrided(gpu, unaryGradientKernel, {
      operation: 'unaryGradient',
      shape,
      operands: [out, read, gradient].map((tensor) => stridedOperand('unaryGradient', tensor)),
      variant: { operation },
      parameters: [alpha],
      flopsPerElement: 12,
    });
    return out;
  });
}

interface ShareVariant extends Variant {
  readonly which: 'greater' | 'less' | 'equal';
}

const shareKernel = defineStridedKernel<ShareVariant>({
  name: 'extremeShare',
  inputs: 2,
  declarations: ({ which }, type) => `
fn share(a: ${type}, b: ${type}) -> ${type} {
  let equal = select(${type}(0.0), ${type}(1.0), a == b);
  ${which === 'equal' ? 'return equal;' : `return select(0.5 * equal, ${type}(1.0), a ${which === 'greater' ? '>' : '<'} b);`}
}`,
  expression: (_, [a, b]) => `share(${a}, ${b})`,
});

/**
 * The part of the gradient of an extreme that `a` gets: 1 where a is `greater` (or `less`) than b, 0.5 where both are equal, else
 * 0; of `equal` 1 where both are equal.
 *
 * @param a floats
 * @param b floats that broadcast with a
 * @returns f32, the broadcast shape
 */
export function extremeShare(a: Tensor, b: Tensor, which: ShareVariant['which']): Tensor {
  const { gpu } = a;
  const shape = broadcastShapes('extremeShare', a.shape, b.shape);
  return gpu.tidy(() => {
    const out = gpu.empty(shape);
    const operands = [out, a, b].map((tensor) => stridedOperand('extremeShare', tensor, shape));
    launchStrided(gpu, shareKernel, {
      operation: 'extremeShare',
      shape,
      operands,
      variant: { which },
      flopsPerElement: 2,
    });
    return out;
  });
}

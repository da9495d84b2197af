import { ArgumentError, ShapeError } from '../errors.ts';
import type { Variant } from '../kernels/kernel.ts';
import { mathFunctions } from '../kernels/wgsl-math.ts';
import type { Dtype, PlainDtype } from '../tensor/dtype.ts';
import { broadcastShapes } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { defineStridedKernel, launchStrided, stridedOperand } from './strided.ts';

type NumberKind = 'float' | 'i32' | 'u32';

interface Operation {
  readonly kinds: readonly NumberKind[];
  /** WGSL of the result, from `a` (and `b`), of type `type`. */
  readonly wgsl: (type: string) => string;
  /** For the declared cost. */
  readonly flops: number;
}

const anyKind: readonly NumberKind[] = ['float', 'i32', 'u32'];
const signed: readonly NumberKind[] = ['float', 'i32'];
const float: readonly NumberKind[] = ['float'];

const unaryOperations = {
  negate: { kinds: signed, wgsl: () => '-a', flops: 1 },
  exp: { kinds: float, wgsl: () => 'bounded_exp(a)', flops: 1 },
  log: { kinds: float, wgsl: () => 'log(a)', flops: 1 },
  sqrt: { kinds: float, wgsl: () => 'sqrt(a)', flops: 1 },
  rsqrt: { kinds: float, wgsl: () => 'inverseSqrt(a)', flops: 1 },
  reciprocal: { kinds: float, wgsl: () => '1.0 / a', flops: 1 },
  absolute: { kinds: signed, wgsl: () => 'abs(a)', flops: 1 },
  square: { kinds: anyKind, wgsl: () => 'a * a', flops: 1 },
  sigmoid: { kinds: float, wgsl: () => 'sigmoid(a)', flops: 4 },
  tanh: { kinds: float, wgsl: () => 'stable_tanh(a)', flops: 6 },
  relu: { kinds: signed, wgsl: (type) => `max(a, ${type}(0))`, flops: 1 },
  silu: { kinds: float, wgsl: () => 'silu(a)', flops: 5 },
  gelu: { kinds: float, wgsl: () => 'gelu(a)', flops: 26 },
  geluTanh: { kinds: float, wgsl: () => 'gelu_tanh(a)', flops: 10 },
  geluSigmoid: { kinds: float, wgsl: () => 'gelu_sigmoid(a)', flops: 6 },
  leakyRelu: { kinds: float, wgsl: (type) => `select(params.alpha * a, a, a > ${type}(0.0))`, flops: 2 },
  elu: { kinds: float, wgsl: (type) => `select(params.alpha * exp_minus_one(a), a, a > ${type}(0.0))`, flops: 12 },
  softplus: { kinds: float, wgsl: () => 'softplus(a)', flops: 12 },
  hardSigmoid: { kinds: float, wgsl: () => 'hard_sigmoid(a)', flops: 3 },
  hardSwish: { kinds: float, wgsl: () => 'a * hard_sigmoid(a)', flops: 4 },
} satisfies Record<string, Operation>;

const binaryOperations = {
  add: { kinds: anyKind, wgsl: () => 'a + b', flops: 1 },
  subtract: { kinds: anyKind, wgsl: () => 'a - b', flops: 1 },
  multiply: { kinds: anyKind, wgsl: () => 'a * b', flops: 1 },
  divide: { kinds: float, wgsl: () => 'a / b', flops: 1 },
  maximum: { kinds: anyKind, wgsl: () => 'max(a, b)', flops: 1 },
  minimum: { kinds: anyKind, wgsl: () => 'min(a, b)', flops: 1 },
} satisfies Record<string, Operation>;

type UnaryName = keyof typeof unaryOperations;
type BinaryName = keyof typeof binaryOperations;

interface UnaryVariant extends Variant {
  readonly operation: UnaryName;
}
interface BinaryVariant extends Variant {
  readonly operation: BinaryName;
}

function applyFunction(operation: Operation, type: string, inputs: string): string {
  const math = type === 'f32' || type === 'vec4<f32>' ? mathFunctions(type) : '';
  return `${math}\nfn apply(${inputs}) -> ${type} {\n  return ${operation.wgsl(type)};\n}`;
}

const unaryKernel = defineStridedKernel<UnaryVariant>({
  name: 'unary',
  inputs: 1,
  // Of the ops that have a number besides x.
  parameters: [['alpha', 'f32']],
  declarations: ({ operation }, type) => applyFunction(unaryOperations[operation], type, `a: ${type}`),
  expression: (_, [a]) => `apply(${a})`,
});

const binaryKernel = defineStridedKernel<BinaryVariant>({
  name: 'binary',
  inputs: 2,
  declarations: ({ operation }, type) => applyFunction(binaryOperations[operation], type, `a: ${type}, b: ${type}`),
  expression: (_, [a, b]) => `apply(${a}, ${b})`,
});

const scaleKernel = defineStridedKernel<Record<never, never>>({
  name: 'scale',
  inputs: 1,
  parameters: [
    ['factor', 'f32'],
    ['shift', 'f32'],
  ],
  expression: (_, [a]) => `${a} * params.factor + params.shift`,
});

function kindOf(dtype: Dtype): NumberKind | undefined {
  if (dtype === 'i32' || dtype === 'u32') return dtype;
  return dtype === 'f32' || dtype === 'f16' || dtype === 'bf16' ? 'float' : undefined;
}

/** f16 stays f16; bf16 is an input format only and gives f32, as do mixed floats; integers must agree. */
function resultDtype(name: string, operation: Pick<Operation, 'kinds'>, a: Dtype, b: Dtype = a): PlainDtype {
  const kind = kindOf(a);
  if (!kind || kind !== kindOf(b) || !operation.kinds.includes(kind)) {
    const given = a === b ? a : `${a} and ${b}`;
    const allowed = operation.kinds.map((each) => (each === 'float' ? 'floats' : each)).join(', ');
    throw new ShapeError(name, `got ${given}; allowed: ${allowed}${a === b ? '' : ', of one kind'} (see cast).`);
  }
  if (kind !== 'float') return kind;
  return a === 'f16' && b === 'f16' ? 'f16' : 'f32';
}

function unary(operation: UnaryName, x: Tensor, alpha = 0): Tensor {
  return x.gpu.tidy(() => {
    const out = x.gpu.empty(x.shape, resultDtype(operation, unaryOperations[operation], x.dtype));
    launchStrided(x.gpu, unaryKernel, {
      operation,
      shape: x.shape,
      operands: [stridedOperand(operation, out), stridedOperand(operation, x)],
      variant: { operation },
      parameters: [alpha],
      flopsPerElement: unaryOperations[operation].flops,
    });
    return out;
  });
}

function binary(operation: BinaryName, a: Tensor, b: Tensor): Tensor {
  const dtype = resultDtype(operation, binaryOperations[operation], a.dtype, b.dtype);
  const shape = broadcastShapes(operation, a.shape, b.shape);
  return a.gpu.tidy(() => {
    const out = a.gpu.empty(shape, dtype);
    launchStrided(a.gpu, binaryKernel, {
      operation,
      shape,
      operands: [
        stridedOperand(operation, out),
        stridedOperand(operation, a, shape),
        stridedOperand(operation, b, shape),
      ],
      variant: { operation },
      flopsPerElement: binaryOperations[operation].flops,
    });
    return out;
  });
}

/*
 * All ops below take strided views, and binary ones broadcast as NumPy does (up to 6 axes that do not merge). f16 gives
 * f16 and is computed in f32; bf16 and mixed floats give f32. They throw ShapeError for shapes that do not broadcast and
 * for dtypes that the op is not defined on, and LimitError for tensors over the device's binding limit.
 */

/** a + b, broadcasting; floats, i32 or u32. */
export function add(a: Tensor, b: Tensor): Tensor {
  return binary('add', a, b);
}

/** a - b, broadcasting; floats, i32 or u32. */
export function subtract(a: Tensor, b: Tensor): Tensor {
  return binary('subtract', a, b);
}

/** a * b, broadcasting; floats, i32 or u32. */
export function multiply(a: Tensor, b: Tensor): Tensor {
  return binary('multiply', a, b);
}

/** a / b, broadcasting; floats. WGSL leaves division by zero undefined. */
export function divide(a: Tensor, b: Tensor): Tensor {
  return binary('divide', a, b);
}

/** The larger of a and b, broadcasting; floats, i32 or u32. */
export function maximum(a: Tensor, b: Tensor): Tensor {
  return binary('maximum', a, b);
}

/** The smaller of a and b, broadcasting; floats, i32 or u32. */
export function minimum(a: Tensor, b: Tensor): Tensor {
  return binary('minimum', a, b);
}

/** -x; floats or i32. */
export function negate(x: Tensor): Tensor {
  return unary('negate', x);
}

/** e^x; floats. Where f32 would overflow (x > 88.72) about 3.4e38, not infinity. */
export function exp(x: Tensor): Tensor {
  return unary('exp', x);
}

/** Natural logarithm of positive floats; WGSL leaves others undefined. */
export function log(x: Tensor): Tensor {
  return unary('log', x);
}

/** Square root of floats of 0 or more. */
export function sqrt(x: Tensor): Tensor {
  return unary('sqrt', x);
}

/** 1 / sqrt(x) of positive floats. */
export function rsqrt(x: Tensor): Tensor {
  return unary('rsqrt', x);
}

/** 1 / x of floats other than 0. */
export function reciprocal(x: Tensor): Tensor {
  return unary('reciprocal', x);
}

/** |x|; floats or i32. */
export function absolute(x: Tensor): Tensor {
  return unary('absolute', x);
}

/** x^2; floats, i32 or u32. */
export function square(x: Tensor): Tensor {
  return unary('square', x);
}

/** 1 / (1 + e^-x); floats of any size. */
export function sigmoid(x: Tensor): Tensor {
  return unary('sigmoid', x);
}

/** Hyperbolic tangent; floats of any size, accurate near 0. */
export function tanh(x: Tensor): Tensor {
  return unary('tanh', x);
}

/** max(x, 0); floats or i32. */
export function relu(x: Tensor): Tensor {
  return unary('relu', x);
}

/** x * sigmoid(x), also called swish; floats of any size. */
export function silu(x: Tensor): Tensor {
  return unary('silu', x);
}

export interface GeluOptions {
  /**
   * `none` (default) is x times the normal distribution function; `tanh` its usual approximation, as in PyTorch; `sigmoid` is
   * x * sigmoid(1.702 x), the quick one of CLIP.
   */
  readonly approximate?: 'none' | 'tanh' | 'sigmoid';
}

/** The elementwise op of each kind of {@link gelu}. */
export const geluOperations = { none: 'gelu', tanh: 'geluTanh', sigmoid: 'geluSigmoid' } as const;

/** Gaussian error linear unit; floats of any size. */
export function gelu(x: Tensor, options: GeluOptions = {}): Tensor {
  const { approximate = 'none' } = options;
  if (!Object.hasOwn(geluOperations, approximate)) {
    throw new ArgumentError('gelu: approximate', approximate, "'none', 'tanh', 'sigmoid'");
  }
  return unary(geluOperations[approximate], x);
}

/** x where it is above 0, else slope * x; floats. The slope is 0.01 by default, as in PyTorch. */
export function leakyRelu(x: Tensor, slope = 0.01): Tensor {
  if (!Number.isFinite(slope)) throw new ArgumentError('leakyRelu: slope', slope, 'a finite number');
  return unary('leakyRelu', x, slope);
}

/** x where it is above 0, else alpha (e^x - 1), accurate near 0; floats. alpha is 1 by default. */
export function elu(x: Tensor, alpha = 1): Tensor {
  if (!Number.isFinite(alpha)) throw new ArgumentError('elu: alpha', alpha, 'a finite number');
  return unary('elu', x, alpha);
}

/** ln(1 + e^x); floats of any size. */
export function softplus(x: Tensor): Tensor {
  return unary('softplus', x);
}

/** x / 6 + 1/2, bounded to [0, 1]; floats. */
export function hardSigmoid(x: Tensor): Tensor {
  return unary('hardSigmoid', x);
}

/** x * hardSigmoid(x); floats. */
export function hardSwish(x: Tensor): Tensor {
  return unary('hardSwish', x);
}

/** x * factor + offset with host numbers; floats. */
export function scale(x: Tensor, factor: number, offset = 0): Tensor {
  if (!Number.isFinite(factor)) throw new ArgumentError('scale: factor', factor, 'a finite number');
  if (!Number.isFinite(offset)) throw new ArgumentError('scale: offset', offset, 'a finite number');
  return x.gpu.tidy(() => {
    const out = x.gpu.empty(x.shape, resultDtype('scale', { kinds: float }, x.dtype));
    launchStrided(x.gpu, scaleKernel, {
      operation: 'scale',
      shape: x.shape,
      operands: [stridedOperand('scale', out), stridedOperand('scale', x)],
      variant: {},
      parameters: [factor, offset],
      flopsPerElement: 2,
    });
    return out;
  });
}

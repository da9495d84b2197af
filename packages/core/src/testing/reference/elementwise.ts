import { broadcastReference, type HostTensor } from './strided.ts';

/** Complementary error function in f64: a series near 0, a continued fraction beyond. */
export function erfcReference(z: number): number {
  if (z < 0) return 2 - erfcReference(-z);
  if (z < 2) {
    let sum = 0;
    let term = z;
    for (let n = 0; n < 60; n++) {
      sum += term / (2 * n + 1);
      term *= (-z * z) / (n + 1);
    }
    return 1 - (2 / Math.sqrt(Math.PI)) * sum;
  }
  let fraction = 0;
  for (let k = 120; k >= 1; k--) fraction = k / 2 / (z + fraction);
  return Math.exp(-z * z) / Math.sqrt(Math.PI) / (z + fraction);
}

const hardSigmoid = (x: number) => Math.min(Math.max(x / 6 + 0.5, 0), 1);
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

/** Definitions of the unary ops. */
export const unaryReference = {
  negate: (x) => -x,
  exp: Math.exp,
  log: Math.log,
  sqrt: Math.sqrt,
  rsqrt: (x) => 1 / Math.sqrt(x),
  reciprocal: (x) => 1 / x,
  absolute: Math.abs,
  square: (x) => x * x,
  sigmoid,
  tanh: Math.tanh,
  relu: (x) => Math.max(x, 0),
  silu: (x) => x * sigmoid(x),
  gelu: (x) => 0.5 * x * erfcReference(-x / Math.SQRT2),
  geluSigmoid: (x) => x / (1 + Math.exp(-1.702 * x)),
  geluTanh: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  leakyRelu: (x) => (x > 0 ? x : 0.01 * x),
  elu: (x) => (x > 0 ? x : Math.expm1(x)),
  softplus: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
  hardSigmoid,
  hardSwish: (x) => x * hardSigmoid(x),
} satisfies Record<string, (x: number) => number>;

/** Definitions of the binary ops. */
export const binaryReference = {
  add: (a, b) => a + b,
  subtract: (a, b) => a - b,
  multiply: (a, b) => a * b,
  divide: (a, b) => a / b,
  maximum: Math.max,
  minimum: Math.min,
} satisfies Record<string, (a: number, b: number) => number>;

/** A binary op over broadcast inputs. */
export function elementwiseReference(
  name: keyof typeof binaryReference,
  a: HostTensor,
  b: HostTensor,
  shape: readonly number[],
): Float64Array {
  const right = broadcastReference(b, shape);
  return broadcastReference(a, shape).map((value, index) => binaryReference[name](value, right[index] as number));
}

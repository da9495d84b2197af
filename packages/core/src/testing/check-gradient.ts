import { multiply, sum, type Tracked, type Value, valueAndGrad } from '../autodiff/index.ts';
import type { Gpu } from '../device/gpu.ts';
import { assertClose } from './assert-close.ts';
import { randomArray } from './random-array.ts';
import type { HostTensor } from './reference/strided.ts';

/** A function on the GPU and its definition in f64. */
export interface GradientCase<I extends readonly HostTensor[]> {
  /** f32 arguments that both are differentiated by. */
  readonly inputs: readonly [...I];
  readonly fn: (...inputs: { [K in keyof I]: Tracked }) => Value;
  /** The same function of row-major numbers. */
  readonly reference: (...inputs: { [K in keyof I]: Float64Array }) => ArrayLike<number>;
  /** Largest error beyond `relative`, as a share of the largest gradient of the input. Default 1e-4. */
  readonly absolute?: number;
  /** Default 1e-4. */
  readonly relative?: number;
  /** Step of the central differences. Default 1e-5, right for numbers around 1. */
  readonly step?: number;
  /** For the message. */
  readonly name?: string;
}

/**
 * Compares the gradients of `sum(fn(inputs) w)`, w random numbers, with central differences of the reference in f64. Frees all
 * that it makes.
 *
 * @throws Error that names the input and the worst element.
 */
export async function checkGradient<I extends readonly HostTensor[]>(gpu: Gpu, test: GradientCase<I>): Promise<void> {
  const { inputs, fn, reference, relative = 1e-4, absolute = 1e-4, step = 1e-5, name = 'fn' } = test;
  const arrays = inputs.map(({ data }) => Float64Array.from(data, Math.fround));
  const evaluate = () => reference(...(arrays as { [K in keyof I]: Float64Array }));
  const size = evaluate().length;
  const weights = randomArray(size, 97);
  const {
    value,
    gradients: [gradients],
  } = gpu.tidy(() => {
    const tensors = inputs.map(({ data, shape }) => gpu.tensor(data, shape));
    return valueAndGrad((args) => {
      const result = fn(...(args as unknown as { [K in keyof I]: Tracked }));
      return sum(multiply(result, gpu.tensor(weights, result.shape)));
    }, tensors);
  });
  const loss = () => {
    let total = 0;
    const result = evaluate();
    for (let i = 0; i < size; i++) total += (result[i] as number) * (weights[i] as number);
    return total;
  };
  const results = await gpu.read([value, ...gradients]);
  for (const tensor of [value, ...gradients]) tensor.dispose();
  assertClose(results[0] as ArrayLike<number>, [loss()], { relative: 1e-3, absolute: 1e-3, name: `value of ${name}` });
  arrays.forEach((array, index) => {
    const expected = array.map((middle, at) => {
      array[at] = middle + step;
      const above = loss();
      array[at] = middle - step;
      const below = loss();
      array[at] = middle;
      return (above - below) / (2 * step);
    });
    const largest = expected.reduce((most, each) => Math.max(most, Math.abs(each)), 0);
    assertClose(results[index + 1] as ArrayLike<number>, expected, {
      relative,
      absolute: absolute * Math.max(largest, 1e-3),
      name: `gradient of ${name} by input ${index}`,
    });
  });
}

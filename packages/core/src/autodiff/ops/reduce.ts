import { contiguous } from '../../ops/copy.ts';
import { divide, multiply, scale } from '../../ops/elementwise.ts';
import { extremeShare } from '../../ops/elementwise-gradient.ts';
import * as ops from '../../ops/reduce.ts';
import { resolveAxis } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { differentiable, from } from '../differentiable.ts';
import type { Value } from '../tape.ts';

/** The shape with reduced axes of size 1, and the number of elements that each result came from. */
function reduction(x: Tensor, { axis }: ops.ReduceOptions): { kept: number[]; count: number; axes: number[] } {
  const given = axis === undefined ? x.shape.map((_, at) => at) : typeof axis === 'number' ? [axis] : axis;
  const axes = given.map((each) => resolveAxis('reduce', each, x.rank));
  const kept = x.shape.map((size, at) => (axes.includes(at) ? 1 : size));
  return { kept, axes, count: axes.reduce((product, at) => product * (x.shape[at] as number), 1) };
}

/** {@link ops.sum}, of floats */
export function sum(input: Value, options: ops.ReduceOptions = {}): Value {
  return differentiable('sum', [input], (x) => {
    const { kept } = reduction(x, options);
    return {
      output: ops.sum(x, options),
      gradients: [from([], (gradient) => contiguous(gradient).reshape(kept).broadcastTo(x.shape))],
    };
  });
}

/** {@link ops.mean} */
export function mean(input: Value, options: ops.ReduceOptions = {}): Value {
  return differentiable('mean', [input], (x) => {
    const { kept, count } = reduction(x, options);
    return {
      output: ops.mean(x, options),
      gradients: [from([], (gradient) => scale(contiguous(gradient).reshape(kept), 1 / count).broadcastTo(x.shape))],
    };
  });
}

function extreme(op: typeof ops.max, input: Value, options: ops.ReduceOptions): Value {
  return differentiable(op.name, [input], (x) => {
    const { kept, axes } = reduction(x, options);
    const output = op(x, options);
    return {
      output,
      gradients: [
        from([x, output], (gradient, all, best) => {
          const hits = extremeShare(all, best.reshape(kept), 'equal');
          const each = divide(contiguous(gradient).reshape(kept), ops.sum(hits, { axis: axes, keepDims: true }));
          return multiply(hits, each);
        }),
      ],
    };
  });
}

/** {@link ops.max}. Equal largest elements share the gradient evenly. */
export function max(x: Value, options: ops.ReduceOptions = {}): Value {
  return extreme(ops.max, x, options);
}

/** {@link ops.min}. Equal smallest elements share the gradient evenly. */
export function min(x: Value, options: ops.ReduceOptions = {}): Value {
  return extreme(ops.min, x, options);
}

import * as copy from '../../ops/copy.ts';
import { embedding as embeddingOp } from '../../ops/embedding.ts';
import * as ops from '../../ops/gather.ts';
import { type AxisPadding, pad as padOp, unpadded } from '../../ops/pad.ts';
import { scatterAdd as scatterAddOp } from '../../ops/scatter-add.ts';
import { splitRanges } from '../../ops/split.ts';
import { takeAlongAxisGradient, takeAlongAxis as takeAlongAxisOp } from '../../ops/take-along-axis.ts';
import type { TokenOrder } from '../../ops/token-order.ts';
import { tokenPermute as tokenPermuteOp, tokenUnpermute as tokenUnpermuteOp } from '../../ops/token-permute.ts';
import { resolveAxis } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { differentiable, from } from '../differentiable.ts';
import type { Value } from '../tape.ts';

/** {@link embeddingOp}. The gradient is a matrix of the weight's size; rows of one id are added in their order. */
export function embedding(table: Value, list: Tensor): Value {
  return differentiable('embedding', [table, list], (weight, ids) => ({
    output: embeddingOp(weight, ids),
    gradients: [from([ids], (gradient, saved) => scatterAddOp(gradient, saved, weight.shape[0] as number)), undefined],
  }));
}

/** {@link ops.gather} */
export function gather(input: Value, list: Tensor): Value {
  return differentiable('gather', [input, list], (x, indices) => ({
    output: ops.gather(x, indices),
    gradients: [from([indices], (gradient, saved) => scatterAddOp(gradient, saved, x.shape[0] as number)), undefined],
  }));
}

/** {@link scatterAddOp} */
export function scatterAdd(input: Value, list: Tensor, rows: number): Value {
  return differentiable('scatterAdd', [input, list], (source, indices) => ({
    output: scatterAddOp(source, indices, rows),
    gradients: [from([indices], (gradient, saved) => ops.gather(gradient, saved)), undefined],
  }));
}

/**
 * `target` with the rows that `indices` name replaced by those of `source`: a new value, where `scatterRows` of the plain ops
 * writes in place. Indices must differ; those outside are left out.
 *
 * @param base f32 [R, ...]
 * @param list u32 [n]
 * @param rows f32 [n, ...]
 */
export function scatterRows(base: Value, list: Tensor, rows: Value): Value {
  return differentiable('scatterRows', [base, list, rows], (target, indices, source) => {
    const output = target.gpu.empty(target.shape);
    copy.copyInto(output, target);
    ops.scatterRows(output, indices, source);
    return {
      output,
      gradients: [
        from([indices], (gradient, places) => {
          const kept = gradient.gpu.empty(target.shape);
          copy.copyInto(kept, gradient);
          ops.scatterRows(kept, places, gradient.gpu.zeros(source.shape));
          return kept;
        }),
        undefined,
        from([indices], (gradient, places) => ops.gather(gradient, places)),
      ],
    };
  });
}

/** {@link takeAlongAxisOp} */
export function takeAlongAxis(input: Value, list: Tensor, axis = -1): Value {
  return differentiable('takeAlongAxis', [input, list], (x, indices) => ({
    output: takeAlongAxisOp(x, indices, axis),
    gradients: [from([indices], (gradient, saved) => takeAlongAxisGradient(gradient, saved, x.shape, axis)), undefined],
  }));
}

/** {@link tokenPermuteOp}, of floats */
export function tokenPermute(input: Value, order: TokenOrder): Value {
  return differentiable('tokenPermute', [input], (x) => ({
    output: tokenPermuteOp(x, order),
    gradients: [from([], (gradient) => tokenUnpermuteOp(gradient, order))],
  }));
}

/** {@link tokenUnpermuteOp}, of floats */
export function tokenUnpermute(input: Value, order: TokenOrder): Value {
  return differentiable('tokenUnpermute', [input], (x) => ({
    output: tokenUnpermuteOp(x, order),
    gradients: [from([], (gradient) => tokenPermuteOp(gradient, order))],
  }));
}

/** {@link padOp}, of floats */
export function pad(input: Value, padding: readonly AxisPadding[], value = 0): Value {
  return differentiable('pad', [input], (x) => ({
    output: padOp(x, padding, value),
    gradients: [from([], (gradient) => unpadded(gradient, padding))],
  }));
}

/** Parts of a value along an axis, the last one by default, of sizes that add up to that of the axis; see {@link splitRanges}. */
export function split(x: Value, sizes: readonly number[], axis = -1): Value[] {
  return splitRanges(x.shape, sizes, axis).map(([start, end]) => x.slice(axis, start, end));
}

/** {@link copy.concatenate} */
export function concatenate(inputs: readonly Value[], axis = 0): Value {
  return differentiable('concatenate', inputs, (...xs) => {
    const at = resolveAxis('concatenate', axis, (xs[0] as Tensor).rank);
    let start = 0;
    return {
      output: copy.concatenate(xs, axis),
      gradients: xs.map(({ shape }) => {
        const first = start;
        start += shape[at] as number;
        return from([], (gradient) => gradient.slice(at, first, first + (shape[at] as number)));
      }),
    };
  });
}

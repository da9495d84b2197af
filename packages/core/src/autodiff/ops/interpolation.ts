import * as grid from '../../ops/interpolation/grid-sample.ts';
import * as ops from '../../ops/interpolation/interpolate.ts';
import { differentiable, from } from '../differentiable.ts';
import type { Value } from '../tape.ts';

/** {@link ops.interpolate} */
export function interpolate(input: Value, options: ops.InterpolateOptions): Value {
  return differentiable('interpolate', [input], (x) => ({
    output: ops.interpolate(x, options),
    gradients: [from([], (gradient) => ops.interpolateGradient(gradient, x.shape, options))],
  }));
}

/** {@link grid.gridSample} */
export function gridSample(input: Value, places: Value, options: grid.GridSampleOptions = {}): Value {
  return differentiable('gridSample', [input, places], (image, list) => ({
    output: grid.gridSample(image, list, options),
    gradients: [
      from([image, list], (gradient, x, at) => grid.gridSampleInputGradient(gradient, x, at, options)),
      from([image, list], (gradient, x, at) => grid.gridSampleGridGradient(gradient, x, at, options)),
    ],
  }));
}

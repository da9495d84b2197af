import { type RopeOptions, rope as ropeOp } from '../../ops/rope.ts';
import { ropeGradient } from '../../ops/rope-gradient.ts';
import type { RopeTable } from '../../ops/rope-table.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { differentiable, from } from '../differentiable.ts';
import type { Value } from '../tape.ts';

/** {@link ropeOp}. The table must live until the backward pass. */
export function rope(input: Value, table: RopeTable, options: RopeOptions = {}): Value {
  const { positions, ...rest } = options;
  return differentiable('rope', [input], (x) => ({
    output: ropeOp(x, table, options),
    gradients: [
      from<readonly Tensor[]>(positions ? [positions] : [], (gradient, ...saved) => {
        const [list] = saved;
        return ropeGradient(gradient, table, list ? { ...rest, positions: list } : rest);
      }),
    ],
  }));
}

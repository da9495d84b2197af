import { ShapeError } from '../../errors.ts';
import { sameShape } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { type FeatureMap, featureCount } from './feature-map.ts';

/** All that linear attention keeps of the tokens it has seen: a size that does not depend on their number. */
export interface LinearAttentionState {
  /** Sum of phi(k) v^T: f32 [B, H, F, Dv], F = {@link featureCount}. */
  readonly kv: Tensor;
  /** Sum of phi(k): f32 [B, H, F]. */
  readonly k: Tensor;
}

/** Shapes of a state's tensors, as the cache's layers of kind `state` are declared. */
export function linearAttentionStateShapes(sizes: {
  readonly batch: number;
  readonly heads: number;
  readonly size: number;
  readonly valueSize: number;
  readonly featureMap?: FeatureMap;
}): { readonly kv: readonly number[]; readonly k: readonly number[] } {
  const { batch, heads, size, valueSize, featureMap = 'taylor' } = sizes;
  const features = featureCount(featureMap, size);
  return { kv: [batch, heads, features, valueSize], k: [batch, heads, features] };
}

/** @throws ShapeError */
export function checkState(
  operation: string,
  state: LinearAttentionState,
  shapes: ReturnType<typeof linearAttentionStateShapes>,
): void {
  for (const name of ['kv', 'k'] as const) {
    const { dtype, shape } = state[name];
    if (dtype !== 'f32' || !sameShape(shape, shapes[name])) {
      throw new ShapeError(operation, `state.${name} is ${dtype}[${shape}]; needs f32 [${shapes[name]}].`);
    }
  }
}

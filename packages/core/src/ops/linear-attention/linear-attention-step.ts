import { ArgumentError, ShapeError } from '../../errors.ts';
import { defineKernel, type Variant } from '../../kernels/kernel.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { contiguous } from '../copy.ts';
import { type FeatureMap, featureCount, featureLoop } from './feature-map.ts';
import { defaultEpsilon, type LinearAttentionOptions } from './linear-attention.ts';
import { checkRows, chunkSizes } from './sizes.ts';
import { checkState, type LinearAttentionState, linearAttentionStateShapes } from './state.ts';

interface StepVariant extends Variant {
  readonly map: FeatureMap;
  readonly normalize: boolean;
}

const lanes = 64;

/**
 * An invocation owns one column of the values of one sequence and head: it adds the new token to that column of the state and reads
 * it with the query, in one pass over the features.
 */
const stepKernel = defineKernel<StepVariant>({
  name: 'linearAttentionStep',
  bindings: () => [
    { name: 'queries', type: 'array<f32>', access: 'read' },
    { name: 'keys', type: 'array<f32>', access: 'read' },
    { name: 'values', type: 'array<f32>', access: 'read' },
    { name: 'products', type: 'array<f32>', access: 'read' },
    { name: 'sums', type: 'array<f32>', access: 'read' },
    { name: 'new_products', type: 'array<f32>', access: 'read_write' },
    { name: 'new_sums', type: 'array<f32>', access: 'read_write' },
    { name: 'result', type: 'array<f32>', access: 'read_write' },
  ],
  parameters: [
    ['size', 'u32'],
    ['features', 'u32'],
    ['columns', 'u32'],
    ['root', 'f32'],
    ['epsilon', 'f32'],
  ],
  workgroupSize: () => lanes,
  source: ({ map, normalize }) => ({
    declarations: `
fn query_at(base: u32, place: u32) -> f32 {
  return select(1.0, params.root * queries[base + max(place, 1u) - 1u], place > 0u);
}
fn key_at(base: u32, place: u32) -> f32 {
  return select(1.0, params.root * keys[base + max(place, 1u) - 1u], place > 0u);
}`,
    main: `
  let blocks = (params.columns + ${lanes - 1}u) / ${lanes}u;
  let sequence = group / blocks;
  let column = (group % blocks) * ${lanes}u + lane;
  if (column >= params.columns) { return; }
  let base = sequence * params.size;
  let state = sequence * params.features;
  let value = values[sequence * params.columns + column];
  var sum = 0.0;
  var total = params.epsilon;${featureLoop(
    map,
    `let of_key = factor * key_first * key_at(base, b);
      let of_query = factor * query_first * query_at(base, b);
      let at = (state + feature) * params.columns + column;
      let updated = products[at] + of_key * value;
      new_products[at] = updated;
      sum += of_query * updated;
      let seen = sums[state + feature] + of_key;
      total += of_query * seen;
      if (column == 0u) { new_sums[state + feature] = seen; }`,
    { before: 'let key_first = key_at(base, a); let query_first = query_at(base, a);' },
  )}
  result[sequence * params.columns + column] = sum${normalize ? ' / total' : ''};`,
  }),
});

/**
 * One token of {@link linearAttention} behind a state: the token is added, then read. One dispatch, whose time does not depend on how
 * many tokens came before. The given state stays as it is.
 *
 * @param q f32 [B, H, 1, D]
 * @param k f32 [B, H, 1, D]
 * @param v f32 [B, H, 1, Dv]
 * @returns the output f32 [B, H, 1, Dv] and the new state
 * @throws ShapeError for other shapes, dtypes or states; ArgumentError for an option out of its range.
 */
export function linearAttentionStep(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  state: LinearAttentionState,
  options: Omit<LinearAttentionOptions, 'chunk' | 'state' | 'returnState'> = {},
): { readonly output: Tensor; readonly state: LinearAttentionState } {
  const { normalize = true, epsilon = defaultEpsilon } = options;
  checkRows('linearAttentionStep', q, k, v);
  if (!(epsilon >= 0)) throw new ArgumentError('linearAttentionStep: epsilon', epsilon, 'a number >= 0');
  const [batch, heads, rows, size] = q.shape as [number, number, number, number];
  if (rows !== 1) throw new ShapeError('linearAttentionStep', `q is [${q.shape}]; takes one token.`);
  const { gpu } = q;
  const { valueSize, map: featureMap, scale, groups } = chunkSizes('linearAttentionStep', q, v, options);
  checkState('linearAttentionStep', state, linearAttentionStateShapes({ batch, heads, size, valueSize, featureMap }));
  const features = featureCount(featureMap, size);
  return gpu.tidy(() => {
    const kv = gpu.empty(state.kv.shape);
    const sums = gpu.empty(state.k.shape);
    const output = gpu.empty(v.shape);
    gpu.launch(
      stepKernel,
      { map: featureMap, normalize },
      {
        bindings: [...[q, k, v, state.kv, state.k].map(contiguous), kv, sums, output],
        parameters: [size, features, valueSize, Math.sqrt(scale), epsilon],
        workgroups: groups * Math.ceil(valueSize / lanes),
        cost: { flops: 4 * groups * features * (valueSize + 1), bytes: 2 * gpu.bytesOf(kv) + 2 * gpu.bytesOf(sums) },
      },
    );
    return { output, state: { kv, k: sums } };
  });
}

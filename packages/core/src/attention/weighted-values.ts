import { ArgumentError, ShapeError } from '../errors.ts';
import { type BindingDeclaration, defineKernel, type Variant } from '../kernels/kernel.ts';
import { contiguous } from '../ops/copy.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { placeParameters } from './call-parameters.ts';
import { CallParts, numberParameters } from './call-parts.ts';
import { inputAccess, type RowDtype } from './elements.ts';
import { type KeyRows, rowInput } from './paged/paged-rows.ts';
import { placeOf } from './strided-input.ts';

/** Weights of values, and whose they are. */
export interface WeightedValuesOptions {
  /** u32 [B, H, N, K]: stored rows of the head's values; rows past the last are clamped to it. */
  readonly indices: Tensor;
  /** f32 [B, H, N, K]: factors of these rows. Rows whose factor is 0 are not read. */
  readonly weights: Tensor;
  /** For the counting proof: u32 [1], to which the kernel adds every (query head, query, value) row that it loads. Tests only. */
  readonly valueRowCounter?: Tensor;
}

interface WeightedVariant extends Variant {
  readonly dtype: RowDtype;
  readonly counting: boolean;
  /** WGSL of rows in pages, and the scalars that it takes. */
  readonly functions: string;
  readonly numbers: string;
}

const lanes = 64;

/** One workgroup per query of a head; its invocations stand along the head dimension. */
const weightedValuesKernel = defineKernel<WeightedVariant>({
  name: 'attention.weightedValues',
  bindings: ({ dtype, counting }, capabilities) => {
    const bindings: BindingDeclaration[] = [
      { name: 'values', type: inputAccess('values', dtype, false, capabilities).type, access: 'read' },
      { name: 'indices', type: 'array<u32>', access: 'read' },
      { name: 'weights', type: 'array<f32>', access: 'read' },
      { name: 'output', type: 'array<f32>', access: 'read_write' },
    ];
    return counting ? [...bindings, { name: 'counter', type: 'array<atomic<u32>>', access: 'read_write' }] : bindings;
  },
  parameters: ({ numbers }) => [
    ['heads', 'u32'],
    ['heads_per_kv', 'u32'],
    ['queries', 'u32'],
    ['keys', 'u32'],
    ['head_size', 'u32'],
    ['entries', 'u32'],
    ...placeParameters('value'),
    ...numberParameters(numbers),
  ],
  workgroupSize: () => lanes,
  source: ({ dtype, counting, functions }, capabilities) => {
    const value = inputAccess('values', dtype, false, capabilities);
    return {
      declarations: functions,
      main: `
  let query = group % params.queries;
  let head = group / params.queries % params.heads;
  let batch = group / (params.queries * params.heads);
  let value_base = params.value_start + batch * params.value_batch + head / params.heads_per_kv * params.value_head;
  for (var d = lane; d < params.head_size; d += ${lanes}u) {
    var total = 0.0;
    for (var entry = 0u; entry < params.entries; entry++) {
      let weight = weights[group * params.entries + entry];
      if (weight == 0.0) { continue; }
      let row = min(indices[group * params.entries + entry], params.keys - 1u);
      total += weight * ${value.load('value_base + row * params.value_row + d')};${
        counting ? '\n      if (d == 0u) { atomicAdd(&counter[0], 1u); }' : ''
      }
    }
    output[((batch * params.queries + query) * params.heads + head) * params.head_size + d] = total;
  }`,
    };
  },
});

/**
 * Sums of listed value rows by given weights: attention whose probabilities are known already and of which only some count.
 * The weights need not sum to 1.
 *
 * @param v f32 or f16 [B, Hkv, M, D], or rows in pages
 * @returns f32 [B, H, N, D], a transposed view of [B, N, H, D]
 * @throws ShapeError, ArgumentError
 */
export function weightedValues(v: KeyRows, options: WeightedValuesOptions): Tensor {
  const { indices, weights, valueRowCounter } = options;
  const { gpu } = v;
  if (v.rank !== 4) throw new ShapeError('weightedValues', `v is [${v.shape}]; it takes [B, Hkv, M, D].`);
  const [batches, kvHeads, keys, headSize] = v.shape as [number, number, number, number];
  const [, heads = 0, queries = 0, entries = 0] = indices.shape;
  const fits = indices.rank === 4 && indices.shape[0] === batches && heads > 0 && heads % kvHeads === 0;
  if (!fits || `${weights.shape}` !== `${indices.shape}`) {
    throw new ShapeError(
      'weightedValues',
      `indices are [${indices.shape}] and weights [${weights.shape}]; both take [${batches}, a multiple of ${kvHeads}, N, K].`,
    );
  }
  if (indices.dtype !== 'u32') throw new ArgumentError('dtype of weightedValues: indices', indices.dtype, 'u32');
  if (weights.dtype !== 'f32') throw new ArgumentError('dtype of weightedValues: weights', weights.dtype, 'f32');
  if (v.dtype !== 'f32' && v.dtype !== 'f16' && v.dtype !== 'paged')
    throw new ArgumentError('dtype of weightedValues: v', v.dtype, 'f32 or f16');
  const dtype = v.dtype;
  return gpu.tidy(() => {
    const parts = new CallParts();
    const value = rowInput('weightedValues', 'v', v, parts);
    const output = gpu.empty([batches, queries, heads, headSize]);
    const bindings = [value.range, contiguous(indices), contiguous(weights), output];
    gpu.launch(
      weightedValuesKernel,
      { dtype, counting: valueRowCounter !== undefined, functions: parts.functions, numbers: parts.numbers },
      {
        bindings: valueRowCounter ? [...bindings, valueRowCounter] : bindings,
        parameters: [heads, heads / kvHeads, queries, keys, headSize, entries, ...placeOf(value), ...parts.values],
        workgroups: batches * heads * queries,
        cost: { flops: 2 * indices.size * headSize, bytes: 4 * indices.size * (headSize + 2) + gpu.bytesOf(output) },
      },
    );
    return output.transpose(0, 2, 1, 3);
  });
}

import { defineKernel, type Variant } from '../../kernels/kernel.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { type FeatureMap, featureCount, featurePlaces } from './feature-map.ts';
import { heldNumbers } from './row-lanes.ts';
import { commonWidth, each, largestDivisor, rowBinding, vectorType, type Width } from './row-text.ts';
import type { ChunkSizes } from './sizes.ts';

interface MomentsVariant extends Variant {
  readonly map: FeatureMap;
  readonly width: Width;
  /** Accesses of a row of values that an invocation adds up. */
  readonly columns: number;
  /** Rows have a weight in the sum of the features; else it is 1. */
  readonly weighted: boolean;
  readonly lanes: number;
}

/**
 * Sums over the rows of each chunk, of phi(x) values^T [F, E] and phi(x) weight [F]. An invocation owns one feature and `columns`
 * of the values, which all of a workgroup read at once.
 */
const chunkMomentsKernel = defineKernel<MomentsVariant>({
  name: 'linearAttentionChunkMoments',
  bindings: ({ width, weighted }) => [
    rowBinding('x', 1),
    rowBinding('values', width),
    ...(weighted ? [rowBinding('weights', 1)] : []),
    rowBinding('products', width, 'read_write'),
    rowBinding('sums', 1, 'read_write'),
  ],
  parameters: [
    ['rows', 'u32'],
    ['chunk', 'u32'],
    ['chunks', 'u32'],
    ['size', 'u32'],
    ['features', 'u32'],
    ['value_columns', 'u32'],
    ['root', 'f32'],
  ],
  workgroupSize: ({ lanes }) => lanes,
  source: ({ map, width, columns, weighted, lanes }) => ({
    main: `
  let tiles = (params.features + ${lanes - 1}u) / ${lanes}u;
  let blocks = params.value_columns / ${columns}u;
  let feature = (group % tiles) * ${lanes}u + lane;
  let block = (group / tiles) % blocks;
  let place = group / (tiles * blocks);
  if (feature >= params.features) { return; }
  ${featurePlaces(map)}
  let base = (place / params.chunks) * params.rows;
  let first = (place % params.chunks) * params.chunk;
  let end = min(first + params.chunk, params.rows);
  ${each(columns, (at) => `var sum${at} = ${vectorType(width)}();`)}
  var total = 0.0;
  for (var row = base + first; row < base + end; row++) {
    let left = select(1.0, params.root * x[row * params.size + max(a, 1u) - 1u], a > 0u);
    let right = select(1.0, params.root * x[row * params.size + max(b, 1u) - 1u], b > 0u);
    let value = factor * left * right;
    let from_column = row * params.value_columns + block * ${columns}u;
    ${each(columns, (at) => `sum${at} += value * values[from_column + ${at}u];`)}
    total += value${weighted ? ' * weights[row]' : ''};
  }
  let cell = place * params.features + feature;
  let to_column = cell * params.value_columns + block * ${columns}u;
  ${each(columns, (at) => `products[to_column + ${at}u] = sum${at};`)}
  if (block == 0u) { sums[cell] = total; }`,
  }),
});

/** What the rows of one chunk add to a state; tensors f32 [G, chunks, F, E] and [G, chunks, F]. */
export interface ChunkMoments {
  readonly products: Tensor;
  readonly sums: Tensor;
}

/**
 * Sums of phi(x) values^T and of phi(x) weight over the rows of each chunk.
 *
 * @param x f32 [G, N, D], contiguous
 * @param values f32 [G, N, E], contiguous
 * @param weights f32 [G, N], or undefined for 1
 */
export function chunkMoments(sizes: ChunkSizes, x: Tensor, values: Tensor, weights: Tensor | undefined): ChunkMoments {
  const { gpu } = x;
  const { groups, rows, chunk, chunks, size, valueSize, map, scale } = sizes;
  const features = featureCount(map, size);
  const width = commonWidth(valueSize);
  const columns = largestDivisor(valueSize / width, heldNumbers(gpu) / width);
  const lanes = gpu.capabilities.software ? 8 : 64;
  const products = gpu.empty([groups, chunks, features, valueSize]);
  const sums = gpu.empty([groups, chunks, features]);
  gpu.launch(
    chunkMomentsKernel,
    { map, width, columns, weighted: weights !== undefined, lanes },
    {
      bindings: [x, values, ...(weights ? [weights] : []), products, sums],
      parameters: [rows, chunk, chunks, size, features, valueSize / width, Math.sqrt(scale)],
      workgroups: groups * chunks * Math.ceil(features / lanes) * (valueSize / width / columns),
      cost: {
        flops: 2 * groups * rows * features * (valueSize + 1),
        bytes: gpu.bytesOf(x) + gpu.bytesOf(values) + gpu.bytesOf(products) + gpu.bytesOf(sums),
      },
    },
  );
  return { products, sums };
}

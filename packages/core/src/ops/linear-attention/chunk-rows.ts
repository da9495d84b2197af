import { defineKernel } from '../../kernels/kernel.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { ChunkMoments } from './chunk-moments.ts';
import { featureCount, featureLoop, scoreText } from './feature-map.ts';
import { heldNumbers, lanesOfRows } from './row-lanes.ts';
import {
  commonWidth,
  each,
  largestDivisor,
  numberOf,
  othersLoop,
  ownRow,
  type RowVariant,
  rowBinding,
  rowParameters,
  rowsOfTile,
  rowValues,
  vectorType,
} from './row-text.ts';
import type { ChunkSizes } from './sizes.ts';

interface RowsVariant extends RowVariant {
  /** Divide by the sum of the weights, and write it. */
  readonly normalize: boolean;
}

/**
 * An invocation owns a row and `columns` of its output: the rows of its chunk that it sees by their scores, without any
 * feature, and all others through the state that its chunk begins with.
 */
const chunkRowsKernel = defineKernel<RowsVariant>({
  name: 'linearAttentionChunkRows',
  bindings: ({ width, carried, normalize }) => [
    rowBinding('own_rows', width),
    rowBinding('other_rows', width),
    rowBinding('values', width),
    ...(carried ? [rowBinding('products', width)] : []),
    ...(carried && normalize ? [rowBinding('sums', 1)] : []),
    rowBinding('result', width, 'read_write'),
    ...(normalize ? [rowBinding('normalizer', 1, 'read_write')] : []),
  ],
  parameters: [...rowParameters, ['value_columns', 'u32'], ['epsilon', 'f32']],
  workgroupSize: ({ lanes }) => lanes,
  source: (variant) => {
    const { map, width, size, columns, carried, normalize, lanes } = variant;
    const type = vectorType(width);
    const total = (text: string) => (normalize ? text : '');
    const fromState = featureLoop(
      map,
      `let value = factor * first * mine[b * ${lanes}u + lane];
      let at = (state + feature) * params.value_columns + block * ${columns}u;
      ${each(columns, (at) => `sum${at} += value * products[at + ${at}u];`)}
      ${total('total += value * sums[state + feature];')}`,
      { before: `let first = mine[a * ${lanes}u + lane];` },
    );
    return {
      declarations: carried ? `var<workgroup> mine: array<f32, ${(size * width + 1) * lanes}>;` : '',
      main: `${rowsOfTile(lanes)}
  let blocks = params.value_columns / ${columns}u;
  let block = outer % blocks;
  let sequence = outer / blocks;
  let base = sequence * params.rows;
  ${ownRow(variant)}
  ${each(columns, (at) => `var sum${at} = ${type}();`)}
  var total = ${normalize ? 'params.epsilon' : '0.0'};
  ${othersLoop(
    variant,
    `let weight = select(0.0, ${scoreText[map].value}, seen);
    let from_value = (base + other) * params.value_columns + block * ${columns}u;
    ${each(columns, (at) => `sum${at} += weight * values[from_value + ${at}u];`)}
    ${total('total += weight;')}`,
  )}
  ${
    carried
      ? `// Registers have no index that is known at run time only; each lane reads its own column of this.
  mine[lane] = 1.0;
  ${each(size * width, (at) => `mine[${at + 1}u * ${lanes}u + lane] = ${numberOf('own', at, width)} / params.root;`)}
  let state = (sequence * params.chunks + chunk) * params.features;${fromState}`
      : ''
  }
  let to = (base + row) * params.value_columns + block * ${columns}u;
  ${each(columns, (at) => `result[to + ${at}u] = sum${at}${normalize ? ' / total' : ''};`)}
  ${total('if (block == 0u) { normalizer[base + row] = total; }')}`,
    };
  },
});

export interface ChunkRowsInputs {
  /** f32 [G, N, D]: rows that see, rows that are seen. */
  readonly own: Tensor;
  readonly others: Tensor;
  /** f32 [G, N, E], of the others. */
  readonly values: Tensor;
  /** What each chunk begins with. */
  readonly state?: ChunkMoments | undefined;
  readonly reverse?: boolean;
  /** Added to the sum of the weights, by which the result is divided; undefined: no division. */
  readonly epsilon?: number | undefined;
}

/**
 * `sum over the seen of weight value`, divided by the sum of the weights where `epsilon` is given.
 *
 * @returns f32 [G, N, E], and f32 [G, N] where it was divided
 */
export function chunkRows(sizes: ChunkSizes, inputs: ChunkRowsInputs): { result: Tensor; normalizer?: Tensor } {
  const { own, others, values, state, reverse = false, epsilon } = inputs;
  const { gpu } = own;
  const { groups, rows, chunk, chunks, size, valueSize, map } = sizes;
  const normalize = epsilon !== undefined;
  const width = commonWidth(size, valueSize);
  const columns = largestDivisor(valueSize / width, heldNumbers(gpu) / width);
  const carried = state !== undefined;
  const lanes = lanesOfRows(gpu, carried ? size + 1 : 0);
  const result = gpu.empty([groups, rows, valueSize]);
  const normalizer = normalize ? gpu.empty([groups, rows]) : undefined;
  const features = featureCount(map, size);
  const perRow = chunk * (size + valueSize + 2) + (carried ? 2 * features * (valueSize + 1) : 0);
  gpu.launch(
    chunkRowsKernel,
    { map, width, size: size / width, columns, reverse, carried, normalize, lanes },
    {
      bindings: [
        own,
        others,
        values,
        ...(state ? [state.products] : []),
        ...(state && normalize ? [state.sums] : []),
        result,
        ...(normalizer ? [normalizer] : []),
      ],
      parameters: [...rowValues(sizes), valueSize / width, epsilon ?? 0],
      workgroups: groups * chunks * Math.ceil(chunk / lanes) * (valueSize / width / columns),
      cost: {
        flops: groups * rows * perRow,
        bytes: 3 * gpu.bytesOf(own) + 2 * gpu.bytesOf(result) + (state ? gpu.bytesOf(state.products) : 0),
      },
    },
  );
  return { result, ...(normalizer ? { normalizer } : {}) };
}

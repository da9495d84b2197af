import { defineKernel } from '../../kernels/kernel.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { ChunkMoments } from './chunk-moments.ts';
import { featureCount, featureLoop, scoreText } from './feature-map.ts';
import { lanesOfRows } from './row-lanes.ts';
import {
  commonWidth,
  each,
  numberOf,
  othersLoop,
  ownRow,
  type RowVariant,
  rowBinding,
  rowParameters,
  rowProduct,
  rowsOfTile,
  rowValues,
  vectorType,
} from './row-text.ts';
import type { ChunkSizes } from './sizes.ts';

interface GradientsVariant extends RowVariant {
  /** Whose rows have the weights: those of the invocation, the others (which see from behind), or none. */
  readonly weighted: 'own' | 'other' | 'none';
}

/**
 * The gradient by the rows that see (or, reversed, that are seen): with dA = own value . other value (+ weight), the gradient of the
 * score, `scale sum over the others of dA h'(s) other`, and through the features of what came before the chunk.
 */
const chunkRowGradientsKernel = defineKernel<GradientsVariant>({
  name: 'linearAttentionChunkRowGradients',
  bindings: ({ width, carried, weighted }) => [
    rowBinding('own_rows', width),
    rowBinding('other_rows', width),
    rowBinding('own_values', width),
    rowBinding('other_values', width),
    ...(weighted === 'none' ? [] : [rowBinding('weights', 1)]),
    ...(carried ? [rowBinding('products', width)] : []),
    ...(carried && weighted !== 'none' ? [rowBinding('sums', 1)] : []),
    rowBinding('result', width, 'read_write'),
  ],
  parameters: rowParameters,
  workgroupSize: ({ lanes }) => lanes,
  source: (variant) => {
    const { map, width, size, columns, carried, weighted, lanes } = variant;
    const type = vectorType(width);
    const numbers = size * width + 1;
    const along = (right: (at: number) => string) => rowProduct(columns, width, (at) => `value${at}`, right);
    const ownWeight = weighted === 'own' ? 'weights[base + row]' : '1.0';
    const fromState = featureLoop(
      map,
      `let at = (state + feature) * ${columns}u;
      let slope = factor * (${along((at) => `products[at + ${at}u]`)}${
        weighted === 'none' ? '' : ' + own_weight * sums[state + feature]'
      });
      let second = b * ${lanes}u + lane;
      through += slope * mine[second];
      gradients[second] += slope * first;`,
      {
        before: `let first = mine[a * ${lanes}u + lane];
    var through = 0.0;`,
        after: `gradients[a * ${lanes}u + lane] += through;`,
      },
    );
    const weight = { own: ' + own_weight', other: ' + weights[base + other]', none: '' }[weighted];
    return {
      declarations: carried
        ? `var<workgroup> mine: array<f32, ${numbers * lanes}>;
var<workgroup> gradients: array<f32, ${numbers * lanes}>;`
        : '',
      main: `${rowsOfTile(lanes)}
  let base = outer * params.rows;
  ${ownRow(variant)}
  let from_value = (base + row) * ${columns}u;
  ${each(columns, (at) => `let value${at} = own_values[from_value + ${at}u];`)}
  ${weighted === 'none' ? '' : `let own_weight = ${ownWeight};`}
  ${each(size, (at) => `var sum${at} = ${type}();`)}
  ${othersLoop(
    variant,
    `let from_other_value = (base + other) * ${columns}u;
    let of_score = ${along((at) => `other_values[from_other_value + ${at}u]`)}${weight};
    let slope = select(0.0, params.scale * of_score * (${scoreText[map].slope}), seen);
    ${each(size, (at) => `sum${at} += slope * other_rows[from_other + ${at}u];`)}`,
  )}
  ${
    carried
      ? `mine[lane] = 1.0;
  ${each(size * width, (at) => `mine[${at + 1}u * ${lanes}u + lane] = ${numberOf('own', at, width)} / params.root; gradients[${at + 1}u * ${lanes}u + lane] = 0.0;`)}
  let state = (outer * params.chunks + chunk) * params.features;${fromState}
  ${each(size * width, (at) => `${numberOf('sum', at, width)} += params.root * gradients[${at + 1}u * ${lanes}u + lane];`)}`
      : ''
  }
  ${each(size, (at) => `result[from_own + ${at}u] = sum${at};`)}`,
    };
  },
});

export interface ChunkRowGradientsInputs {
  /** f32 [G, N, D] */
  readonly own: Tensor;
  readonly others: Tensor;
  /** f32 [G, N, E] */
  readonly ownValues: Tensor;
  readonly otherValues: Tensor;
  /** f32 [G, N]: added to the product of the values. Of the own rows, or where reversed of the others. */
  readonly weights?: Tensor | undefined;
  readonly state?: ChunkMoments | undefined;
  readonly reverse?: boolean;
}

/** Gradients by `own`, f32 [G, N, D]. */
export function chunkRowGradients(sizes: ChunkSizes, inputs: ChunkRowGradientsInputs): Tensor {
  const { own, others, ownValues, otherValues, weights, state, reverse = false } = inputs;
  const { gpu } = own;
  const { groups, rows, chunk, chunks, size, valueSize, map } = sizes;
  const width = commonWidth(size, valueSize);
  const carried = state !== undefined;
  const lanes = lanesOfRows(gpu, carried ? 2 * (size + 1) : 0);
  const result = gpu.empty([groups, rows, size]);
  const features = featureCount(map, size);
  const perRow = chunk * (2 * size + valueSize + 4) + (carried ? 2 * features * (valueSize + 4) : 0);
  gpu.launch(
    chunkRowGradientsKernel,
    {
      map,
      width,
      size: size / width,
      columns: valueSize / width,
      reverse,
      carried,
      weighted: weights ? (reverse ? 'other' : 'own') : 'none',
      lanes,
    },
    {
      bindings: [
        own,
        others,
        ownValues,
        otherValues,
        ...(weights ? [weights] : []),
        ...(state ? [state.products] : []),
        ...(state && weights ? [state.sums] : []),
        result,
      ],
      parameters: rowValues(sizes),
      workgroups: groups * chunks * Math.ceil(chunk / lanes),
      cost: {
        flops: groups * rows * perRow,
        bytes: 3 * gpu.bytesOf(own) + 2 * gpu.bytesOf(ownValues) + (state ? gpu.bytesOf(state.products) : 0),
      },
    },
  );
  return result;
}

import type { Capabilities } from '../../device/capabilities.ts';
import { type BindingDeclaration, defineKernel, type KernelSource, type ParameterList } from '../../kernels/kernel.ts';
import { LOWEST } from '../../kernels/wgsl.ts';
import { numberParameters } from '../call-parts.ts';
import { dotProductText } from '../dot-products.ts';
import { type InputAccess, inputAccess, quadOfRow } from '../elements.ts';
import { modifiedScore } from '../online-softmax.ts';
import { entryFunctions, gathered, loadRow, pairArguments, visible } from '../positions.ts';
import { sideBindings, sideFunctions, sideParameters } from '../side-inputs.ts';
import { range } from '../text.ts';
import { multiplierAt } from '../trust.ts';
import { ownKeys } from './own-keys.ts';
import { ownQueries } from './own-queries.ts';
import {
  columnLanes,
  type GradientVariant,
  type GradientWalk,
  lanes,
  rowsPerLane,
  streamedRows,
  streamsPerLane,
} from './variant.ts';

type InputName = 'query' | 'key' | 'value' | 'gradient';

function inputsOf(variant: GradientVariant, capabilities: Capabilities): Readonly<Record<InputName, InputAccess>> {
  const { queryDtype, queryVector, keyDtype, keyVector, gradientVector } = variant;
  return {
    query: inputAccess('query', queryDtype, queryVector, capabilities),
    key: inputAccess('keys', keyDtype, keyVector, capabilities),
    value: inputAccess('values', keyDtype, keyVector, capabilities),
    gradient: inputAccess('gradient', 'f32', gradientVector, capabilities),
  };
}

const place = (name: InputName): ParameterList =>
  (['start', 'batch', 'head', 'row'] as const).map((part) => [`${name}_${part}`, 'u32'] as const);

const parameters: ParameterList = [
  ['heads', 'u32'],
  ['heads_per_kv', 'u32'],
  ['queries', 'u32'],
  ['query_bound', 'u32'],
  ['keys', 'u32'],
  ['key_capacity', 'u32'],
  ['head_size', 'u32'],
  ['quads', 'u32'],
  ['scale', 'f32'],
  ['window', 'i32'],
  ['query_offset', 'i32'],
  ['query_offset_given', 'u32'],
  ...place('query'),
  ...place('key'),
  ...place('value'),
  ...place('gradient'),
  ['list_length', 'u32'],
  ['list_count', 'u32'],
  ['list_heads', 'u32'],
  ['list_share', 'u32'],
  ['parts', 'u32'],
  ['row_tiles', 'u32'],
  ['row_count', 'u32'],
  ['second_start', 'u32'],
];

/**
 * The backward pass of FlashAttention-2 (arXiv 2307.08691, algorithm 2) without atomics: a workgroup owns rows and sums up their
 * gradients while the rows that meet them are streamed by, so that every sum has a fixed order. Once it owns queries (dQ),
 * once keys (dK and dV); both recompute the probabilities, which makes seven products of five.
 *
 * A tile is 4 own rows of an invocation times streamed rows: an invocation holds a square of scores, then of gradients of
 * probabilities, made from loads of quads that each serve four products. What they become passes through workgroup memory, and
 * the invocations then stand along the head size. Registers do not grow with the head size, and no optional feature is needed.
 */
export const gradientKernel = defineKernel<GradientVariant>({
  name: 'attention.backward',
  bindings: (variant, capabilities) => {
    const inputs = inputsOf(variant, capabilities);
    const bindings: BindingDeclaration[] = [
      { name: 'query', type: inputs.query.type, access: 'read' },
      { name: 'keys', type: inputs.key.type, access: 'read' },
      { name: 'values', type: inputs.value.type, access: 'read' },
      { name: 'gradient', type: inputs.gradient.type, access: 'read' },
      { name: 'rows', type: 'array<f32>', access: 'read' },
      ...sideBindings(variant),
      { name: 'result', type: 'array<f32>', access: 'read_write' },
    ];
    if (variant.counting) bindings.push({ name: 'counter', type: 'array<atomic<u32>>', access: 'read_write' });
    return bindings;
  },
  parameters: (variant) => [...parameters, ...sideParameters(variant), ...numberParameters(variant.numbers)],
  workgroupSize: () => lanes,
  source: (variant, capabilities): KernelSource => {
    const walk = variant.own === 'queries' ? ownQueries(variant) : ownKeys(variant);
    const inputs = inputsOf(variant, capabilities);
    const columns = columnLanes(variant);
    const keys = variant.own === 'keys';
    const totals = keys ? ['first', 'second'] : ['first'];
    const perCell = (body: (i: number, cell: number) => string) =>
      range(rowsPerLane).flatMap((i) => range(variant.cells).map((cell) => body(i, cell)));
    const counter = keys ? 'counter[1]' : 'counter[0]';
    const main = `
  let own_lane = lane / ${columns}u;
  let column_lane = lane % ${columns}u;
  ${walk.place}
  ${totals.map((total) => perCell((i, cell) => `var ${total}_${i}_${cell} = vec4f();`).join(' ')).join('\n  ')}
  ${walk.open}
    ${variant.counting ? `if (lane == 0u) { atomicAdd(&${counter}, count); }` : ''}
    ${products(variant, walk, inputs)}
    ${pairs(variant, walk)}
    ${accumulate(variant, walk, inputs)}
  ${walk.close}
  ${range(rowsPerLane)
    .map((i) => store(variant, walk, i))
    .join('\n  ')}`;
    const functions = `${variant.functions}${entryFunctions(variant)}`;
    const tile = `array<vec4f, ${streamedRows * variant.rowLanes}>`;
    const declarations = `
var<workgroup> tile_score_gradients: ${tile};
${keys ? `var<workgroup> tile_weights: ${tile};` : ''}
${gathered(variant) ? `var<workgroup> tile_rows: array<u32, ${streamedRows}>;` : ''}`;
    return { declarations: `${declarations}${sideFunctions(variant, functions + main)}${functions}`, main };
  },
});

/** Declares `score_<p>` and `weight_gradient_<p>` of each pair p. */
function products(variant: GradientVariant, { own, streamed }: GradientWalk, inputs: Record<InputName, InputAccess>) {
  const text = (name: string, ownName: InputName, streamedName: InputName) =>
    dotProductText(name, variant.raggedHeadSize, [
      { input: inputs[ownName], at: range(rowsPerLane).map((i) => `${ownName}_at_${i}`) },
      { input: inputs[streamedName], at: range(streamsPerLane(variant)).map((j) => `${streamedName}_at_${j}`) },
    ]);
  return `${text('score', own.first, streamed.first)}${text('weight_gradient', own.second, streamed.second)}`;
}

/**
 * Probabilities from the log-sum-exps, P = exp(S - L), and the gradients of scores, dS = P (dP - D). Masked pairs are zero by
 * selection, whatever their rows hold. Leaves both in workgroup memory, four own rows to a vector.
 */
function pairs(variant: GradientVariant, walk: GradientWalk): string {
  const streams = streamsPerLane(variant);
  const own = range(rowsPerLane);
  const one = (i: number, j: number) => {
    const p = i * streams + j;
    const { query, key, row } = walk.pair(i, j);
    const lines = [`let sees_${p} = ${visible(variant, key, query)};`];
    let value = `modified_${p}.x`;
    if (variant.sloped) {
      lines.push(`let modified_${p} = score_and_slope(score_${p} * params.scale, ${pairArguments(key, query)});`);
    } else value = modifiedScore(variant, { ...key, score: `score_${p}` }, query);
    lines.push(`let probability_${p} = exp(select(${LOWEST}, ${value} - log_sum_exp${row}, sees_${p}));`);
    const factor = variant.multipliers === 'none' ? '' : ` * ${multiplierAt(query.head, loadRow(variant, key.row))}`;
    // Factors behind the normalisation weigh values, not the row's sum.
    const share = variant.multipliers === 'before' ? `weight_${p}` : `probability_${p}`;
    const slope = variant.sloped ? ` * modified_${p}.y` : '';
    lines.push(
      `let weight_${p} = probability_${p}${factor};`,
      `let gradient_${p} = (weight_${p} * weight_gradient_${p} - ${share} * row_sum${row})${slope};`,
      `let score_gradient_${p} = select(0.0, gradient_${p}, sees_${p});`,
    );
    return lines.join('\n    ');
  };
  const leave = (name: string, value: string, j: number) =>
    `${name}[(${j * columnLanes(variant)}u + column_lane) * ${variant.rowLanes}u + own_lane] = vec4f(${own.map((i) => `${value}_${i * streams + j}`).join(', ')});`;
  const stores = range(streams).map((j) =>
    [
      leave('tile_score_gradients', 'score_gradient', j),
      ...(variant.own === 'keys' ? [leave('tile_weights', 'weight', j)] : []),
    ].join('\n    '),
  );
  return `${own.flatMap((i) => range(streams).map((j) => one(i, j))).join('\n    ')}
    workgroupBarrier();
    ${stores.join('\n    ')}
    workgroupBarrier();`;
}

/** Adds the tile to the own rows' gradients: dQ += dS K, or dK += dS^T Q and dV += P^T dO. */
function accumulate(variant: GradientVariant, walk: GradientWalk, inputs: Record<InputName, InputAccess>): string {
  const add = (kind: 'first' | 'second', tile: string) => {
    const input = inputs[walk.streamed[kind]];
    const cells = range(variant.cells).map((cell) => {
      const quad = `quad_${cell}`;
      return `let ${kind}_unit_${cell} = ${quadOfRow(input, variant.raggedHeadSize, `${kind}_at + 4u * ${quad}`, quad)};
        ${range(rowsPerLane)
          .map((i) => `${kind}_${i}_${cell} += ${kind}_factors[${i}] * ${kind}_unit_${cell};`)
          .join(' ')}`;
    });
    return `let ${kind}_factors = ${tile}[index * ${variant.rowLanes}u + own_lane];
        let ${kind}_at = ${walk.streamedAt(kind, 'index')};
        ${cells.join('\n        ')}`;
  };
  const quads = range(variant.cells).map(
    (cell) => `let quad_${cell} = min(${cell * columnLanes(variant)}u + column_lane, params.quads - 1u);`,
  );
  return `${quads.join(' ')}
      for (var index = 0u; index < count; index++) {
        ${add('first', 'tile_score_gradients')}
        ${variant.own === 'keys' ? add('second', 'tile_weights') : ''}
      }`;
}

/** Writes the gradients of own row `i`. */
function store(variant: GradientVariant, walk: GradientWalk, i: number): string {
  const write = (kind: 'first' | 'second', cell: number) => {
    const value = `${kind}_${i}_${cell}${kind === 'first' ? ' * params.scale' : ''}`;
    const at = kind === 'first' ? 'at' : 'params.second_start + at';
    const elements = range(4).map((d) => {
      const line = `result[${at} + ${d}u] = value[${d}];`;
      return variant.raggedHeadSize === 0 ? line : `if (4u * quad + ${d}u < params.head_size) { ${line} }`;
    });
    return `{ let value = ${value}; ${elements.join(' ')} }`;
  };
  const cells = range(variant.cells).map(
    (cell) => `{
      let quad = ${cell * columnLanes(variant)}u + column_lane;
      let at = (${walk.resultRow(i)}) * params.head_size + 4u * quad;
      if (quad < params.quads) { ${write('first', cell)} ${variant.own === 'keys' ? write('second', cell) : ''} }
    }`,
  );
  return `if (${walk.exists(i)}) {
    ${cells.join('\n    ')}
  }`;
}

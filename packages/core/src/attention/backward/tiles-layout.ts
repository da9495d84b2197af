import { dotProductText } from '../dot-products.ts';
import { quadOfRow } from '../elements.ts';
import { gathered } from '../positions.ts';
import { range } from '../text.ts';
import { type GradientInputs, type GradientLayout, storeText, totalsText } from './gradient-layout.ts';
import { pairText } from './pair-text.ts';
import { type GradientVariant, type GradientWalk, streamedRows } from './variant.ts';

/** Invocations of a workgroup. */
export const tileLanes = 64;

/** Own rows of an invocation. */
export const tileRowsPerLane = 4;

/** Groups of own rows in a workgroup: fewer for wide rows, which leaves more invocations along the head size. */
export function tileRowLanes(headSize: number): number {
  return headSize <= 128 ? 8 : 4;
}

/** Invocations side by side, along streamed rows or the head size. */
export function columnLanes(rowLanes: number): number {
  return tileLanes / rowLanes;
}

/** Streamed rows that an invocation scores at a time. */
function streamsPerLane(rowLanes: number): number {
  return (streamedRows * rowLanes) / tileLanes;
}

function rowLanesOf({ ownRows, rowsPerLane }: GradientVariant): number {
  return ownRows / rowsPerLane;
}

/**
 * 64 invocations that need no optional feature. A tile is 4 own rows of an invocation times streamed rows: it holds a square of
 * scores, then of gradients of probabilities, made from loads of quads that each serve four products. What they become passes
 * through workgroup memory, and the invocations then stand along the head size. Registers do not grow with the head size.
 */
export const tilesLayout: GradientLayout = (variant, walk, inputs) => {
  const rowLanes = rowLanesOf(variant);
  const columns = columnLanes(rowLanes);
  const keys = variant.own === 'keys';
  const tile = `array<vec4f, ${streamedRows * rowLanes}>`;
  const streams = range(streamsPerLane(rowLanes));
  const rows = gathered(variant)
    ? `workgroupBarrier();
    if (own_lane == 0u) { ${streams.map((j) => `tile_rows[${j * columns}u + column_lane] = load_row_${j};`).join(' ')} }`
    : '';
  return {
    declarations: `
var<workgroup> tile_score_gradients: ${tile};
${keys ? `var<workgroup> tile_weights: ${tile};` : ''}
${gathered(variant) ? `var<workgroup> tile_rows: array<u32, ${streamedRows}>;` : ''}`,
    lanes: `
  let own_lane = lane / ${columns}u;
  let column_lane = lane % ${columns}u;`,
    prepare: totalsText(variant, variant.rowsPerLane),
    tile: `
    ${streams.map((j) => walk.stream(j, `${j * columns}u + column_lane`)).join('\n    ')}
    ${rows}
    ${products(variant, walk, inputs)}
    ${pairs(variant, walk)}
    ${accumulate(variant, walk, inputs)}`,
    write: range(variant.rowsPerLane)
      .map((i) => storeText(variant, { row: i, exists: walk.exists(i), resultRow: walk.resultRow(i), columns }))
      .join('\n  '),
  };
};

/** Declares `score_<p>` and `weight_gradient_<p>` of each pair p. */
function products(variant: GradientVariant, { own, streamed }: GradientWalk, inputs: GradientInputs) {
  const text = (name: string, ownName: keyof GradientInputs, streamedName: keyof GradientInputs) =>
    dotProductText(name, variant.raggedHeadSize, [
      { input: inputs[ownName], at: range(variant.rowsPerLane).map((i) => `${ownName}_at_${i}`) },
      {
        input: inputs[streamedName],
        at: range(streamsPerLane(rowLanesOf(variant))).map((j) => `${streamedName}_at_${j}`),
      },
    ]);
  return `${text('score', own.first, streamed.first)}${text('weight_gradient', own.second, streamed.second)}`;
}

/** Leaves probabilities and gradients of scores in workgroup memory, four own rows to a vector. */
function pairs(variant: GradientVariant, walk: GradientWalk): string {
  const rowLanes = rowLanesOf(variant);
  const columns = columnLanes(rowLanes);
  const streams = streamsPerLane(rowLanes);
  const own = range(variant.rowsPerLane);
  const leave = (name: string, value: string, j: number) =>
    `${name}[(${j * columns}u + column_lane) * ${rowLanes}u + own_lane] = vec4f(${own.map((i) => `${value}_${i * streams + j}`).join(', ')});`;
  const stores = range(streams).map((j) =>
    [
      leave('tile_score_gradients', 'score_gradient', j),
      ...(variant.own === 'keys' ? [leave('tile_weights', 'weight', j)] : []),
    ].join('\n    '),
  );
  return `${own.flatMap((i) => range(streams).map((j) => pairText(variant, walk, i, j, i * streams + j))).join('\n    ')}
    workgroupBarrier();
    ${stores.join('\n    ')}
    workgroupBarrier();`;
}

/** Adds the tile to the own rows' gradients: dQ += dS K, or dK += dS^T Q and dV += P^T dO. */
function accumulate(variant: GradientVariant, walk: GradientWalk, inputs: GradientInputs): string {
  const rowLanes = rowLanesOf(variant);
  const add = (kind: 'first' | 'second', tile: string) => {
    const input = inputs[walk.streamed[kind]];
    const cells = range(variant.cells).map((cell) => {
      const quad = `quad_${cell}`;
      return `let ${kind}_unit_${cell} = ${quadOfRow(input, variant.raggedHeadSize, `${kind}_at + 4u * ${quad}`, quad)};
        ${range(variant.rowsPerLane)
          .map((i) => `${kind}_${i}_${cell} += ${kind}_factors[${i}] * ${kind}_unit_${cell};`)
          .join(' ')}`;
    });
    return `let ${kind}_factors = ${tile}[index * ${rowLanes}u + own_lane];
        let ${kind}_at = ${walk.streamedAt(kind, 'index')};
        ${cells.join('\n        ')}`;
  };
  const quads = range(variant.cells).map(
    (cell) => `let quad_${cell} = min(${cell * columnLanes(rowLanes)}u + column_lane, params.quads - 1u);`,
  );
  return `${quads.join(' ')}
      for (var index = 0u; index < count; index++) {
        ${add('first', 'tile_score_gradients')}
        ${variant.own === 'keys' ? add('second', 'tile_weights') : ''}
      }`;
}

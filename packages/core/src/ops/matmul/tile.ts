import { defineKernel } from '../../kernels/kernel.ts';
import {
  leftAccess,
  locateTile,
  type ProductVariant,
  productBindings,
  productParameters,
  repeat,
  storeResult,
} from './product.ts';
import { rightOperand } from './right-operand.ts';

/** Rows and columns of the output tile of a workgroup. */
export const tileSize = 32;
const innerStep = 32;
const side = 8;
const perThread = tileSize / side;

/**
 * Matrix product for GPUs: a workgroup of 8 x 8 invocations makes a tile of 32 x 32 outputs, 4 x 4 in the registers of each.
 * Tiles of both operands (32 inner positions, f32) are staged in 8 KiB of workgroup memory; quantized weights are
 * dequantized there once for all rows of the tile.
 */
export const tileKernel = defineKernel<ProductVariant>({
  name: 'matmul.tile',
  bindings: productBindings,
  parameters: productParameters,
  workgroupSize: () => side * side,
  source: (variant, capabilities) => {
    const right = rightOperand(variant.right, capabilities);
    const left = leftAccess(variant, capabilities);
    const whole = right.octetsPerBlock > 1;
    const octetsPerStep = innerStep / 8;
    const vectors = (name: string, first: string) =>
      `let ${name} = vec4f(${Array.from({ length: perThread }, (_, index) => `${first} + ${index}u]`).join(', ')});`;
    return {
      declarations: `
var<workgroup> left_tile: array<f32, ${innerStep * tileSize}>;
var<workgroup> right_tile: array<f32, ${innerStep * tileSize}>;`,
      main: `
  ${locateTile(variant, tileSize, tileSize)}
  let first_row = tile_row * ${tileSize}u;
  let first_column = tile_column * ${tileSize}u;
  let own_row = (lane / ${side}u) * ${perThread}u;
  let own_column = (lane % ${side}u) * ${perThread}u;
  // Filling: two invocations share a column of the right tile, half of the octets each.
  let fill_column = lane % ${tileSize}u;
  let fill_octet = lane / ${tileSize}u * ${octetsPerStep / 2}u;
  ${right.openColumn('c', 'min(first_column + fill_column, params.columns - 1u)')}
  ${repeat(perThread, (row) => `var sum${row} = vec4f();`)}
  for (var start = 0u; start < params.inner; start += ${innerStep}u) {
    // The left tile is stored inner-major; neighbouring invocations read neighbouring inner positions.
    for (var at = lane; at < ${innerStep * tileSize}u; at += ${side * side}u) {
      let position = start + at % ${innerStep}u;
      let row = at / ${innerStep}u;
      let inside = position < params.inner && first_row + row < params.rows;
      let index = left_start + min(first_row + row, params.rows - 1u) * params.left_row + min(position, params.inner - 1u) * params.left_inner;
      left_tile[(at % ${innerStep}u) * ${tileSize}u + row] = select(0.0, ${left.load('index')}, inside);
    }
    for (var at = 0u; at < ${octetsPerStep / 2}u; at++) {
      let octet_index = start / 8u + fill_octet + at;
      let block = octet_index / ${right.octetsPerBlock}u;
      let octet = octet_index % ${right.octetsPerBlock}u;
      let position = (fill_octet + at) * ${right.octetStep}u;
      ${right.openBlock('c', 'block')}
      ${right.openOctet('c', 'block', 'octet')}
      ${repeat(8, (element) => {
        const value = right.value('c', element);
        const place = `position + ${right.position(element)}u`;
        // Past the inner size both factors are zero: a clamped load may be anything, even NaN.
        const guarded = whole ? value : `select(0.0, ${value}, start + ${place} < params.inner)`;
        return `right_tile[(${place}) * ${tileSize}u + fill_column] = ${guarded};`;
      })}
    }
    workgroupBarrier();
    for (var k = 0u; k < ${innerStep}u; k++) {
      ${vectors('x', `left_tile[k * ${tileSize}u + own_row`)}
      ${vectors('w', `right_tile[k * ${tileSize}u + own_column`)}
      ${repeat(perThread, (row) => `sum${row} = fma(vec4f(x[${row}]), w, sum${row});`)}
    }
    workgroupBarrier();
  }
  ${repeat(perThread, (row) =>
    repeat(perThread, (column) =>
      storeResult(
        variant,
        capabilities,
        `first_row + own_row + ${row}u`,
        `first_column + own_column + ${column}u`,
        `sum${row}[${column}]`,
      ),
    ),
  )}`,
    };
  },
});

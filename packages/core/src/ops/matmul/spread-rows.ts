import type { BufferRange } from '../../device/bind-groups.ts';
import type { Gpu } from '../../device/gpu.ts';
import { defineKernel } from '../../kernels/kernel.ts';
import { elementAccess } from '../../kernels/wgsl.ts';
import { batchCount, type FloatDtype, onceBindings, type Product } from './product.ts';

/*
 * Sums of products are added to the output once per stretch of the inner axis. A workgroup adds to one column of all its rows at a time; where
 * rows stand a multiple of 2 KiB apart, those 32 places share two of the 64 sets of a processor's level-1 cache, and each addition waits for the level
 * behind. Such products are summed up where rows stand otherwise apart, and brought to the output at the end (decision 0131).
 */

/** Rows whose distance in bytes is a multiple of this share too few sets. */
const crowded = 2048;

/** A cache line of f32. */
const line = 16;

/** Most bytes that are summed up elsewhere. */
const mostBytes = 2 ** 26;

/** Whether sums of a product on a software adapter go where rows share fewer sets. */
export function spreadsRows(gpu: Gpu, product: Product): boolean {
  const { outStrides, rows, columns, columnStart } = product;
  return (
    gpu.capabilities.software &&
    outStrides.column === 1 &&
    (4 * outStrides.row) % crowded === 0 &&
    // A load gives four neighbours.
    columns % 4 === 0 &&
    columnStart % 4 === 0 &&
    4 * batchCount(product) * rows * spreadRow(columns) <= mostBytes
  );
}

/** Elements between rows of so many columns, when they are spread. */
function spreadRow(columns: number): number {
  const lines = Math.ceil(columns / line);
  return line * (lines % 2 === 0 ? lines + 1 : lines);
}

/** The product's sums with rows spread, without what is added once; `gather` brings them to the output and adds that. */
export function spreadProduct(gpu: Gpu, product: Product): { readonly spread: Product; gather(): void } {
  const batches = batchCount(product);
  const row = spreadRow(product.columns);
  const sums = gpu.range(gpu.empty([batches * product.rows, row]), 'matmul: sums of stretches');
  return {
    spread: {
      ...product,
      bias: undefined,
      residual: undefined,
      out: sums,
      outStrides: { batch: product.rows * row, row, column: 1 },
      columnStart: 0,
    },
    gather: () => gatherRows(gpu, product, sums, row),
  };
}

const lanes = 8;

/** Quads of a row that an invocation brings. */
const quadsPerLane = 8;

type GatherVariant = { readonly bias: FloatDtype | 'none'; readonly residual: FloatDtype | 'none' };

/** A workgroup brings a piece of one row. */
const gatherKernel = defineKernel<GatherVariant>({
  name: 'matmul.gather_rows',
  bindings: (variant, capabilities) => [
    { name: 'sums', type: 'array<vec4f>', access: 'read' },
    ...onceBindings(variant, capabilities),
    { name: 'out', type: 'array<vec4f>', access: 'read_write' },
  ],
  parameters: [
    ['rows', 'u32'],
    ['quads', 'u32'],
    ['sums_row', 'u32'],
    ['out_batch', 'u32'],
    ['out_row', 'u32'],
    ['column_start', 'u32'],
  ],
  workgroupSize: () => lanes,
  source: ({ bias, residual }, capabilities) => {
    const once = (name: 'bias' | 'residual', dtype: FloatDtype | 'none', index: string) => {
      if (dtype === 'none') return '';
      const { load } = elementAccess(name, dtype, capabilities);
      return ` + vec4f(${[0, 1, 2, 3].map((element) => load(`${index} + ${element}u`)).join(', ')})`;
    };
    return {
      main: `
  let pieces = (params.quads + ${lanes * quadsPerLane - 1}u) / ${lanes * quadsPerLane}u;
  let source_row = group / pieces;
  let batch = source_row / params.rows;
  let out_start = batch * params.out_batch + (source_row - batch * params.rows) * params.out_row + params.column_start;
  let first = (group - source_row * pieces) * ${lanes * quadsPerLane}u;
  for (var quad = first + lane; quad < min(first + ${lanes * quadsPerLane}u, params.quads); quad += ${lanes}u) {
    let at = out_start + 4u * quad;
    out[at >> 2u] = sums[source_row * (params.sums_row >> 2u) + quad]${once('bias', bias, 'params.column_start + 4u * quad')}${once('residual', residual, 'at')};
  }`,
    };
  },
});

function gatherRows(gpu: Gpu, product: Product, sums: BufferRange, row: number): void {
  const { bias, residual, out, outStrides, columnStart } = product;
  const rows = batchCount(product) * product.rows;
  const quads = product.columns / 4;
  gpu.launch(
    gatherKernel,
    { bias: bias?.dtype ?? 'none', residual: residual?.dtype ?? 'none' },
    {
      bindings: [sums, ...(bias ? [bias.range] : []), ...(residual ? [residual.range] : []), out],
      parameters: [product.rows, quads, row, outStrides.batch, outStrides.row, columnStart],
      workgroups: rows * Math.ceil(quads / (lanes * quadsPerLane)),
      cost: { flops: 0, bytes: 8 * rows * product.columns },
    },
  );
}

import { broadcastsToEight, subgroupRowsWorkgroup } from '../../attention/prefill-variants.ts';
import type { Capabilities } from '../../device/capabilities.ts';
import type { Gpu } from '../../device/gpu.ts';
import type { GateActivation } from '../mlp.ts';
import { blocksKernel } from './blocks.ts';
import { broadcastKernel, heldPositions, tileColumns } from './broadcast.ts';
import { columnsInFours, columnsKernel, columnsOfTile, mostColumnsRows } from './columns.ts';
import { lanesKernel } from './lanes.ts';
import {
  batchCount,
  bindingRanges,
  leftInFours,
  type Product,
  parameterValues,
  productCost,
  productVariant,
  tileCount,
} from './product.ts';
import { loadsSingles, type RightFormat, wideOperand } from './right-operand.ts';
import { broadcastRows, type HeldRows, type MatmulSchedule, vectorRows } from './schedules.ts';
import { spreadProduct, spreadsRows } from './spread-rows.ts';
import { tileKernel, tileSize } from './tile.ts';
import { vectorColumns, vectorKernel } from './vector.ts';

/** Records one product. */
export function launchProduct(gpu: Gpu, product: Product, schedule: MatmulSchedule): void {
  const { capabilities } = gpu;
  const shared = broadcastRows(schedule);
  if (shared && broadcastsToEight(capabilities)) {
    launchBroadcast(gpu, product, shared);
    return;
  }
  const variant = productVariant(product);
  const launch = { bindings: bindingRanges(product), parameters: parameterValues(product), cost: productCost(product) };
  if (schedule === 'tile') {
    gpu.launch(tileKernel, variant, { ...launch, workgroups: tileCount(product, tileSize, tileSize) });
  } else if (schedule === 'vector') {
    const rows = product.rows <= 2 ? Math.max(product.rows, 1) : vectorRows;
    gpu.launch(vectorKernel, { ...variant, rows }, { ...launch, workgroups: tileCount(product, rows, vectorColumns) });
  } else if (takesBlocks(product, capabilities)) {
    launchBlocks(gpu, product, 'none');
  } else if (product.rows <= mostColumnsRows && broadcastsToEight(capabilities) && columnsInFours(product)) {
    const { rows } = product;
    const workgroups = tileCount(product, rows, columnsOfTile);
    gpu.launch(columnsKernel, { ...variant, rowsPerLane: rows }, { ...launch, workgroups });
  } else {
    const broadcast = broadcastsToEight(capabilities);
    const fastest = lanesTile(product.rows, product.right.format);
    // Without broadcasts every row of the register tile costs loads of its own, so more rows only make longer code.
    const tile = broadcast ? fastest : { ...fastest, rowsPerLane: Math.min(fastest.rowsPerLane, 2) };
    gpu.launch(
      lanesKernel,
      { ...variant, ...tile, broadcast },
      { ...launch, workgroups: tileCount(product, tile.rowsPerLane, tile.columnsPerLane * tile.lanes) },
    );
  }
}

function launchBroadcast(gpu: Gpu, product: Product, most: HeldRows): void {
  const held = heldPositions(product.inner, most.held);
  if (product.inner > held && spreadsRows(gpu, product)) {
    const { spread, gather } = spreadProduct(gpu, product);
    launchHeld(gpu, spread, most.rowsPerLane, held);
    gather();
  } else {
    launchHeld(gpu, product, most.rowsPerLane, held);
  }
}

function launchHeld(gpu: Gpu, product: Product, mostRows: number, held: number): void {
  const lanes = subgroupRowsWorkgroup(gpu.capabilities);
  const rowsPerLane = Math.max(1, Math.min(mostRows, Math.ceil(product.rows / lanes)));
  const rowTiles = batchCount(product) * Math.ceil(product.rows / (rowsPerLane * lanes));
  const width = tileColumns(product.columns, rowTiles);
  gpu.launch(
    broadcastKernel,
    { ...productVariant(product), rowsPerLane, held, lanes, leftFours: leftInFours(product) },
    {
      bindings: bindingRanges(product),
      parameters: [...parameterValues(product), width],
      workgroups: rowTiles * Math.ceil(product.columns / width),
      cost: productCost(product),
    },
  );
}

function launchBlocks(gpu: Gpu, product: Product, gate: GateActivation | 'none'): void {
  const rowsPerLane = product.rows <= 2 ? Math.max(product.rows, 1) : vectorRows;
  const columnsPerLane = product.right.format === 'q8_0' || rowsPerLane > 1 || gate !== 'none' ? 2 : 4;
  const { flops, bytes } = productCost(product);
  gpu.launch(
    blocksKernel,
    { ...productVariant(product), rowsPerLane, columnsPerLane, lanes: 8, gate },
    {
      bindings: bindingRanges(product),
      parameters: parameterValues(product),
      cost: { flops: gate === 'none' ? flops : 2 * flops, bytes },
      workgroups: tileCount(product, rowsPerLane, columnsPerLane * 8),
    },
  );
}

/**
 * Records a product whose outputs are gated: the right operand has twice its columns, the gate's first.
 * @returns whether it did: it is done for few rows and quantized weights on software adapters, where a launch is dear
 */
export function launchGated(gpu: Gpu, product: Product, gate: GateActivation): boolean {
  if (!gpu.capabilities.software || !takesBlocks(product, gpu.capabilities)) return false;
  launchBlocks(gpu, product, gate);
  return true;
}

/** Whether few rows are multiplied a block of the weight at a time. */
function takesBlocks(product: Product, capabilities: Capabilities): boolean {
  return (
    product.rows <= vectorRows &&
    broadcastsToEight(capabilities) &&
    wideOperand(product.right.format) !== undefined &&
    leftInFours(product)
  );
}

/**
 * Register tiles that were fastest on lavapipe (docs/decisions/0020-matrix-products.md). Formats that need a load per
 * element gain nothing from more columns; those that unpack several from a word do.
 */
function lanesTile(rows: number, format: RightFormat): { rowsPerLane: number; columnsPerLane: number; lanes: number } {
  if (rows === 1) return { rowsPerLane: 1, columnsPerLane: 2, lanes: 16 };
  if (loadsSingles(format)) return { rowsPerLane: rows <= 4 ? 4 : 8, columnsPerLane: 2, lanes: 8 };
  if (format === 'f32Fours' && rows > 4) return { rowsPerLane: 8, columnsPerLane: 3, lanes: 8 };
  if (rows === 2) return { rowsPerLane: 2, columnsPerLane: 4, lanes: 8 };
  return { rowsPerLane: rows < 16 ? 4 : 8, columnsPerLane: 4, lanes: 8 };
}

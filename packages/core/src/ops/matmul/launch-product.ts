import type { Capabilities } from '../../device/capabilities.ts';
import type { Gpu } from '../../device/gpu.ts';
import { lanesKernel } from './lanes.ts';
import { bindingRanges, type Product, parameterValues, productCost, productVariant, tileCount } from './product.ts';
import { loadsSingles, type RightFormat } from './right-operand.ts';
import { tileKernel, tileSize } from './tile.ts';
import { vectorColumns, vectorKernel } from './vector.ts';

/** The schedules of a matrix product. `lanes` is for software adapters; the others are for GPUs. */
export type MatmulSchedule = 'lanes' | 'vector' | 'tile';

/** Most rows that the matrix-vector schedule takes. */
const vectorRows = 4;

/** The default schedule for a number of rows on an adapter. */
export function defaultSchedule(rows: number, capabilities: Capabilities): MatmulSchedule {
  if (capabilities.software) return 'lanes';
  return rows <= vectorRows ? 'vector' : 'tile';
}

/** Records one product. */
export function launchProduct(gpu: Gpu, product: Product, schedule: MatmulSchedule): void {
  const variant = productVariant(product);
  const launch = { bindings: bindingRanges(product), parameters: parameterValues(product), cost: productCost(product) };
  if (schedule === 'tile') {
    gpu.launch(tileKernel, variant, { ...launch, workgroups: tileCount(product, tileSize, tileSize) });
  } else if (schedule === 'vector') {
    const rows = product.rows <= 2 ? Math.max(product.rows, 1) : vectorRows;
    gpu.launch(vectorKernel, { ...variant, rows }, { ...launch, workgroups: tileCount(product, rows, vectorColumns) });
  } else {
    const broadcast = gpu.capabilities.subgroups && gpu.capabilities.subgroupMinSize >= 8;
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

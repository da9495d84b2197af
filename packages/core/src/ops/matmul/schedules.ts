import { broadcastsToEight } from '../../attention/prefill-variants.ts';
import type { Capabilities } from '../../device/capabilities.ts';
import type { Gpu } from '../../device/gpu.ts';
import { type TunedFamily, tunedVariant } from '../../tuning/tuning.ts';
import { isQuantizedFormat, type RightFormat } from './right-operand.ts';

/** What an invocation of the schedules `broadcast` holds: some rows, and at most so many inner positions of each. */
const broadcasts = {
  'broadcast 1 x 64': { rowsPerLane: 1, held: 64 },
  'broadcast 2 x 64': { rowsPerLane: 2, held: 64 },
  'broadcast 4 x 64': { rowsPerLane: 4, held: 64 },
  'broadcast 4 x 128': { rowsPerLane: 4, held: 128 },
  'broadcast 4 x 192': { rowsPerLane: 4, held: 192 },
  'broadcast 2 x 192': { rowsPerLane: 2, held: 192 },
} as const satisfies Record<string, HeldRows>;

export type BroadcastSchedule = keyof typeof broadcasts;

/** Rows of an invocation, and most inner positions of each that it holds. */
export interface HeldRows {
  readonly rowsPerLane: number;
  readonly held: number;
}

/**
 * How a matrix product is laid out. `lanes` is for software adapters, `vector` and `tile` for GPUs. The others are for many rows where every
 * subgroup has eight invocations or more; elsewhere `lanes` takes their place.
 */
export type MatmulSchedule = 'lanes' | 'vector' | 'tile' | BroadcastSchedule;

/** What an invocation of a schedule holds, or undefined where the schedule is none of `broadcast`. */
export function broadcastRows(schedule: MatmulSchedule): HeldRows | undefined {
  return (broadcasts as Partial<Record<MatmulSchedule, HeldRows>>)[schedule];
}

type Schedules = readonly [MatmulSchedule, ...MatmulSchedule[]];

/** Most rows that the matrix-vector schedule takes. */
export const vectorRows = 4;

/** Products of more rows have the schedule of many rows: below, lanes over rows would stand idle. */
const fewRows = 16;

function manyRowsSchedules(capabilities: Capabilities, software: Schedules): Schedules {
  const able = broadcastsToEight(capabilities);
  if (capabilities.software) return able ? software : ['lanes'];
  return able ? ['tile', 'broadcast 1 x 64', 'broadcast 2 x 64'] : ['tile'];
}

/** Products of many rows with float operands. */
export const floatProducts: TunedFamily = {
  name: 'matmul.float',
  variants: (capabilities): Schedules =>
    manyRowsSchedules(capabilities, ['broadcast 4 x 128', 'broadcast 4 x 64', 'lanes']),
};

/** Products of many rows with a quantized weight. */
export const quantizedProducts: TunedFamily = {
  name: 'matmul.quantized',
  variants: (capabilities): Schedules =>
    manyRowsSchedules(capabilities, ['broadcast 4 x 192', 'broadcast 4 x 128', 'broadcast 2 x 192', 'lanes']),
};

/** The schedule of a product on this device, unless the caller forces one. */
export function defaultSchedule({ capabilities, tuning }: Gpu, rows: number, format: RightFormat): MatmulSchedule {
  if (rows > fewRows) {
    const family = isQuantizedFormat(format) ? quantizedProducts : floatProducts;
    return tunedVariant(family, capabilities, tuning) as MatmulSchedule;
  }
  if (capabilities.software) return 'lanes';
  return rows <= vectorRows ? 'vector' : 'tile';
}

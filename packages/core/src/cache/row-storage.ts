import type { Gpu } from '../device/gpu.ts';
import { LimitError } from '../errors.ts';
import { plainBytes } from '../tensor/dtype.ts';
import { SharedTensors } from './shared-tensors.ts';
import type { CacheDtype, RowSizes } from './types.ts';

/** Sizes of keys and values [B, Hkv, capacity, D]. */
export interface RowShape extends RowSizes {
  readonly capacity: number;
}

export type Rows = SharedTensors<'keys' | 'values'>;

export type RowTensors = Rows['tensors'];

/** Where the rows of one sequence stand. */
export interface SequenceRows {
  readonly rows: Rows;
  readonly sequence: number;
  /** How many rows of each head count. */
  readonly length: number;
}

export function rowShape(rows: Rows): RowShape {
  const { keys } = rows.tensors;
  const [batch, kvHeads, capacity, headSize] = keys.shape as [number, number, number, number];
  return { batch, kvHeads, capacity, headSize, dtype: keys.dtype as CacheDtype };
}

/** @throws LimitError when the keys do not fit into a storage binding */
export function allocateRows(gpu: Gpu, shape: RowShape): Rows {
  checkBinding(gpu, shape);
  const { batch, kvHeads, capacity, headSize, dtype } = shape;
  const rows = () => gpu.empty([batch, kvHeads, capacity, headSize], dtype);
  return new SharedTensors(
    gpu,
    gpu.tidy(() => ({ keys: rows(), values: rows() })),
  );
}

/** New rows for `capacity` tokens that hold the given sequences in this order. */
export function copyRows(gpu: Gpu, capacity: number, sources: readonly SequenceRows[]): Rows {
  const shape = rowShape((sources[0] as SequenceRows).rows);
  const { kvHeads } = shape;
  const target = allocateRows(gpu, { ...shape, batch: sources.length, capacity });
  const rowBytes = plainBytes(shape.dtype, shape.headSize);
  try {
    for (const name of ['keys', 'values'] as const) {
      const to = gpu.range(target.tensors[name], 'cache');
      for (const [batch, { rows, sequence, length }] of sources.entries()) {
        const from = gpu.range(rows.tensors[name], 'cache');
        const fromCapacity = rowShape(rows).capacity;
        for (let head = 0; head < kvHeads; head++) {
          gpu.copyBytes(
            { ...from, offset: (sequence * kvHeads + head) * fromCapacity * rowBytes },
            { ...to, offset: (batch * kvHeads + head) * capacity * rowBytes },
            length * rowBytes,
          );
        }
      }
    }
    return target;
  } catch (error) {
    target.release();
    throw error;
  }
}

function checkBinding(gpu: Gpu, { batch, kvHeads, capacity, headSize, dtype }: RowShape): void {
  const bytes = plainBytes(dtype, batch * kvHeads * capacity * headSize);
  const { maxStorageBinding } = gpu.capabilities;
  if (bytes > maxStorageBinding) {
    throw new LimitError(
      `KvCache: one layer's keys at capacity ${capacity}`,
      bytes,
      'maxStorageBufferBindingSize',
      maxStorageBinding,
    );
  }
}

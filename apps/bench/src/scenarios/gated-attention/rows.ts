import type { Gpu, Tensor } from '@saccade/core';

/** Rows of `length` + 1 tokens as what a model reads and what it has to say: u32 [rows, length] each. In a scope. */
export function rowTensors(gpu: Gpu, rows: Uint32Array, length: number): { ids: Tensor; targets: Tensor } {
  const count = rows.length / (length + 1);
  const shifted = (by: number) => {
    const values = new Uint32Array(count * length);
    for (let row = 0; row < count; row++) {
      const start = row * (length + 1) + by;
      values.set(rows.subarray(start, start + length), row * length);
    }
    return gpu.tensor(values, [count, length], 'u32');
  };
  return { ids: shifted(0), targets: shifted(1) };
}

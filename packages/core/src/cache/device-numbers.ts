import type { Gpu } from '../device/gpu.ts';
import { type Shape, sameShape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';

/**
 * Small tables of u32 that the host decides anew in every pass. Each name keeps its buffer while its shape stays, so
 * that a steady decode loop creates nothing.
 */
export class DeviceNumbers {
  readonly #gpu: Gpu;
  readonly #entries = new Map<string, { tensor: Tensor; values: Uint32Array }>();

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  get bytes(): number {
    return [...this.#entries.values()].reduce((sum, { tensor }) => sum + this.#gpu.bytesOf(tensor), 0);
  }

  /** The tensor called `name` with these values; uploads only where they changed. */
  get(name: string, values: Uint32Array, shape: Shape = [values.length]): Tensor {
    const entry = this.#entries.get(name);
    if (entry && sameShape(entry.tensor.shape, shape)) {
      if (values.some((value, index) => value !== entry.values[index])) {
        const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
        this.#gpu.write(this.#gpu.range(entry.tensor, name), bytes);
        entry.values = values;
      }
      return entry.tensor;
    }
    entry?.tensor.dispose();
    const tensor = this.#gpu.keep(this.#gpu.tensor(values, shape, 'u32'));
    this.#entries.set(name, { tensor, values });
    return tensor;
  }

  dispose(): void {
    for (const { tensor } of this.#entries.values()) tensor.dispose();
    this.#entries.clear();
  }
}

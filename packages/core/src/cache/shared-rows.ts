import type { Gpu } from '../device/gpu.ts';
import { plainBytes } from '../tensor/dtype.ts';
import type { Shape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { CacheDtype } from './types.ts';

/** Keys and values of one layer, which several forks may own until one of them writes. */
export class SharedRows {
  readonly keys: Tensor;
  readonly values: Tensor;
  #owners = 1;

  constructor(gpu: Gpu, shape: Shape, dtype: CacheDtype) {
    // A cache outlives the scope of the layer or step in which it is made or copied.
    this.keys = gpu.keep(gpu.empty(shape, dtype));
    this.values = gpu.keep(gpu.empty(shape, dtype));
  }

  get shared(): boolean {
    return this.#owners > 1;
  }

  share(): this {
    this.#owners++;
    return this;
  }

  release(): void {
    this.#owners--;
    if (this.#owners > 0) return;
    this.keys.dispose();
    this.values.dispose();
  }

  /** A copy of the first `length` rows of every head, in buffers of `capacity` rows. */
  copy(capacity: number, length: number): SharedRows {
    const { gpu, shape } = this.keys;
    const dtype = this.keys.dtype as CacheDtype;
    const [batch, kvHeads, oldCapacity, headSize] = shape as [number, number, number, number];
    const target = new SharedRows(gpu, [batch, kvHeads, capacity, headSize], dtype);
    const rowBytes = plainBytes(dtype, headSize);
    for (const name of ['keys', 'values'] as const) {
      const from = gpu.range(this[name], 'cache');
      const to = gpu.range(target[name], 'cache');
      for (let head = 0; head < batch * kvHeads; head++) {
        gpu.copyBytes(
          { ...from, offset: head * oldCapacity * rowBytes },
          { ...to, offset: head * capacity * rowBytes },
          length * rowBytes,
        );
      }
    }
    return target;
  }
}

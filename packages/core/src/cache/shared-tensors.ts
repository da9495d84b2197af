import type { Gpu } from '../device/gpu.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** Tensors that several forks may own until one of them writes. They outlive every scope. */
export class SharedTensors<Name extends string> {
  readonly tensors: Readonly<Record<Name, Tensor>>;
  #owners = 1;

  constructor(gpu: Gpu, tensors: Readonly<Record<Name, Tensor>>) {
    this.tensors = tensors;
    for (const tensor of this.#all()) gpu.keep(tensor);
  }

  get shared(): boolean {
    return this.#owners > 1;
  }

  /** GPU bytes. */
  get bytes(): number {
    return this.#all().reduce((sum, tensor) => sum + tensor.gpu.bytesOf(tensor), 0);
  }

  share(): this {
    this.#owners++;
    return this;
  }

  release(): void {
    this.#owners--;
    if (this.#owners > 0) return;
    for (const tensor of this.#all()) tensor.dispose();
  }

  /** The same content in buffers of its own. */
  copy(gpu: Gpu): SharedTensors<Name> {
    const entries = Object.entries<Tensor>(this.tensors).map(([name, tensor]) => {
      const copy = gpu.empty(tensor.shape, tensor.dtype);
      gpu.copyBytes(gpu.range(tensor, 'cache'), gpu.range(copy, 'cache'), gpu.bytesOf(tensor));
      return [name, copy] as const;
    });
    return new SharedTensors(gpu, Object.fromEntries(entries) as Record<Name, Tensor>);
  }

  #all(): Tensor[] {
    return Object.values<Tensor>(this.tensors);
  }
}

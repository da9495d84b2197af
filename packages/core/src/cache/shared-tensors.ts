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

  #all(): Tensor[] {
    return Object.values<Tensor>(this.tensors);
  }
}

import type { Gpu } from '../device/gpu.ts';
import { ArgumentError, ShapeError } from '../errors.ts';
import { concatenate } from '../ops/copy.ts';
import { sameShape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { CacheLayer, LayerSequence, SavedLayer, StateSpec } from './types.ts';

/**
 * Recurrent or convolution state of a layer: named tensors [B, ...] of a fixed size, zeros at first. They are values: a
 * layer replaces them by new ones and never writes into them, so that forks share them for nothing. A state holds all
 * tokens at once, so it cannot go back to an earlier one.
 */
export class StateLayer implements CacheLayer {
  readonly kind = 'state';
  readonly #gpu: Gpu;
  readonly #tensors: Map<string, Tensor>;

  static create(gpu: Gpu, batch: number, spec: StateSpec): StateLayer {
    const entries = Object.entries(spec.tensors);
    for (const [name, { shape }] of entries) {
      if (shape[0] !== batch)
        throw new ShapeError('KvCache', `state ${name} [${shape}] has not B = ${batch} in front.`);
    }
    const tensors = new Map<string, Tensor>();
    for (const [name, { shape, dtype }] of entries) tensors.set(name, gpu.keep(gpu.zeros(shape, dtype ?? 'f32')));
    return new StateLayer(gpu, tensors);
  }

  private constructor(gpu: Gpu, tensors: Map<string, Tensor>) {
    this.#gpu = gpu;
    this.#tensors = tensors;
  }

  get signature(): string {
    const tensors = [...this.#tensors].map(([name, { shape, dtype }]) => `${name} ${dtype}[${shape.slice(1)}]`);
    return `state ${tensors.join(' ')}`;
  }

  get names(): string[] {
    return [...this.#tensors.keys()];
  }

  get bytes(): number {
    return [...this.#tensors.values()].reduce((sum, tensor) => sum + this.#gpu.bytesOf(tensor), 0);
  }

  /** Owned by the cache: do not dispose. @throws ArgumentError */
  get(name: string): Tensor {
    const tensor = this.#tensors.get(name);
    if (!tensor) throw new ArgumentError('StateLayer: name', name, this.names.join(', '));
    return tensor;
  }

  /** Replaces a tensor by one of the same shape and dtype, which the cache then owns. @throws ArgumentError, ShapeError */
  set(name: string, tensor: Tensor): void {
    const old = this.get(name);
    if (!sameShape(old.shape, tensor.shape) || old.dtype !== tensor.dtype) {
      throw new ShapeError(
        'StateLayer',
        `${name} is ${old.dtype}[${old.shape}], not ${tensor.dtype}[${tensor.shape}].`,
      );
    }
    this.#tensors.set(name, this.#gpu.keep(tensor));
    if (old !== tensor) old.dispose();
  }

  capacityOf(): number {
    return Number.POSITIVE_INFINITY;
  }

  settle(): void {}

  refusesTruncation(lengths: readonly number[], to: readonly number[]): string | undefined {
    const stays = to.every((length, sequence) => length === lengths[sequence]);
    return stays || to.every((length) => length === 0) ? undefined : 'a recurrent state cannot forget its last tokens';
  }

  truncate(_: readonly number[], to: readonly number[]): void {
    if (to.some((length) => length > 0)) return;
    for (const [name, old] of this.#tensors) this.set(name, this.#gpu.zeros(old.shape, old.dtype as 'f32'));
  }

  grow(): void {}

  fork(): StateLayer {
    const tensors = [...this.#tensors].map(([name, tensor]) => [name, this.#gpu.keep(tensor.alias())] as const);
    return new StateLayer(this.#gpu, new Map(tensors));
  }

  save(): SavedLayer {
    const tensors = [...this.#tensors].map(([name, tensor]) => [name, tensor.alias()] as const);
    return { facts: { kind: this.kind }, tensors: Object.fromEntries(tensors) };
  }

  /** @param tensors As {@link save} gave them, which the layer then owns */
  static restore(gpu: Gpu, tensors: Readonly<Record<string, Tensor>>): StateLayer {
    for (const tensor of Object.values(tensors)) gpu.keep(tensor);
    return new StateLayer(gpu, new Map(Object.entries(tensors)));
  }

  join(sources: readonly LayerSequence[]): StateLayer {
    const tensors = this.names.map((name) => {
      const joined = this.#gpu.tidy(() => {
        const parts = sources.map(({ layer, sequence }) =>
          (layer as StateLayer).get(name).slice(0, sequence, sequence + 1),
        );
        return concatenate(parts, 0);
      });
      return [name, this.#gpu.keep(joined)] as const;
    });
    return new StateLayer(this.#gpu, new Map(tensors));
  }

  dispose(): void {
    for (const tensor of this.#tensors.values()) tensor.dispose();
  }
}

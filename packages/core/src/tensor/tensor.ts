import type { Gpu } from '../device/gpu.ts';
import { ArgumentError, DisposedError, ShapeError } from '../errors.ts';
import type { Dtype, HostArray } from './dtype.ts';
import { contiguousStrides, elementCount, isContiguous, resolveAxis, type Shape } from './shape.ts';
import type { Storage } from './storage.ts';

/**
 * An immutable value in GPU memory: shape, element type, and strides into storage that views share.
 *
 * Tensors made inside `gpu.tidy` are freed at its end unless returned or kept; others live until `dispose()`. A tensor
 * that is garbage-collected without either is freed with a warning.
 */
export class Tensor {
  readonly gpu: Gpu;
  readonly shape: Shape;
  readonly dtype: Dtype;
  /** In elements. */
  readonly strides: readonly number[];
  /** In elements, from the start of the storage. */
  readonly offset: number;
  readonly #storage: Storage;
  #disposed = false;

  /** Used by `Gpu` and views; takes over one reference to `storage`. */
  constructor(gpu: Gpu, storage: Storage, dtype: Dtype, shape: Shape, strides?: readonly number[], offset = 0) {
    this.gpu = gpu;
    this.#storage = storage;
    this.dtype = dtype;
    this.shape = shape;
    this.strides = strides ?? contiguousStrides(shape);
    this.offset = offset;
    gpu.track(this);
  }

  /** Number of elements. */
  get size(): number {
    return elementCount(this.shape);
  }

  get rank(): number {
    return this.shape.length;
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /** Whether the elements stand densely in row-major order. */
  get contiguous(): boolean {
    return isContiguous(this.shape, this.strides);
  }

  /** The storage, for launchers. Throws {@link DisposedError} when the tensor is disposed. */
  get storage(): Storage {
    if (this.#disposed) throw new DisposedError(`Tensor ${this.dtype}[${this.shape}]`);
    return this.#storage;
  }

  /** The same elements under another shape; one size may be -1. Needs contiguous strides (see `contiguous()` in ops). */
  reshape(shape: Shape): Tensor {
    const known = shape.reduce((product, size) => (size === -1 ? product : product * size), 1);
    const resolved = shape.map((size) => (size === -1 ? this.size / known : size));
    const valid = resolved.every((size) => Number.isInteger(size) && size >= 0);
    if (!valid || elementCount(resolved) !== this.size || shape.filter((size) => size === -1).length > 1) {
      throw new ShapeError('reshape', `[${this.shape}] has ${this.size} elements; [${shape}] does not fit them.`);
    }
    const strides = viewStrides(this.shape, this.strides, resolved);
    if (!strides)
      throw new ShapeError(
        'reshape',
        `strides [${this.strides}] of [${this.shape}] do not fit [${resolved}]; make it contiguous first.`,
      );
    return this.#view(resolved, strides, this.offset);
  }

  /** Axes in another order; by default the last two swapped. */
  transpose(...axes: number[]): Tensor {
    const order =
      axes.length > 0
        ? axes.map((axis) => resolveAxis('transpose', axis, this.rank))
        : this.shape.map((_, axis) => axis);
    if (axes.length === 0 && this.rank >= 2) order.push(...order.splice(-2, 1));
    if (order.length !== this.rank || new Set(order).size !== this.rank) {
      throw new ArgumentError('transpose: axes', axes, `each of 0..${this.rank - 1} once`);
    }
    const pick = (values: readonly number[]) => order.map((axis) => values[axis] as number);
    return this.#view(pick(this.shape), pick(this.strides), this.offset);
  }

  /** Elements [start, end) of one axis, as a view. */
  slice(axis: number, start: number, end: number): Tensor {
    const index = resolveAxis('slice', axis, this.rank);
    const size = this.shape[index] as number;
    if (!(Number.isInteger(start) && Number.isInteger(end) && start >= 0 && start <= end && end <= size)) {
      throw new ArgumentError('slice: range', [start, end], `0 <= start <= end <= ${size}`);
    }
    const shape = this.shape.map((value, at) => (at === index ? end - start : value));
    return this.#view(shape, this.strides, this.offset + start * (this.strides[index] as number));
  }

  /** Repeats axes of size 1 without copying, as NumPy's broadcast_to. */
  broadcastTo(shape: Shape): Tensor {
    const lead = shape.length - this.rank;
    const strides = shape.map((size, axis) => {
      const own = this.shape[axis - lead] ?? 1;
      if (own !== size && own !== 1)
        throw new ShapeError('broadcastTo', `[${this.shape}] does not broadcast to [${shape}].`);
      return own === 1 ? 0 : (this.strides[axis - lead] as number);
    });
    if (lead < 0) throw new ShapeError('broadcastTo', `[${this.shape}] does not broadcast to [${shape}].`);
    return this.#view(shape, strides, this.offset);
  }

  /** A second handle on the same value, with a lifetime of its own. */
  alias(): Tensor {
    return this.#view(this.shape, this.strides, this.offset);
  }

  /** The elements on the host, row-major. f16 and bf16 are widened to f32. Submits and waits: one readback. */
  async read(): Promise<HostArray> {
    const [data] = await this.gpu.read([this]);
    return data as HostArray;
  }

  /** Frees the value (its memory once no view of it is left). Idempotent. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.gpu.untrack(this);
    this.#storage.release();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #view(shape: Shape, strides: readonly number[], offset: number): Tensor {
    return new Tensor(this.gpu, this.storage.retain(), this.dtype, shape, strides, offset);
  }
}

/** Strides of `to` over the same memory, or undefined where a copy is needed. Axes of size 1 are free. */
function viewStrides(from: Shape, strides: readonly number[], to: Shape): number[] | undefined {
  if (isContiguous(from, strides)) return contiguousStrides(to);
  const sizes: number[] = [];
  const steps: number[] = [];
  from.forEach((size, axis) => {
    if (size === 1) return;
    sizes.push(size);
    steps.push(strides[axis] as number);
  });
  const result = new Array<number>(to.length).fill(1);
  let axis = sizes.length - 1;
  let left = axis >= 0 ? (sizes[axis] as number) : 1;
  let step = axis >= 0 ? (steps[axis] as number) : 1;
  for (let target = to.length - 1; target >= 0; target--) {
    const size = to[target] as number;
    if (size === 1) continue;
    if (left === 1) {
      axis--;
      left = sizes[axis] as number;
      step = steps[axis] as number;
    }
    // Merge further source axes while they continue each other densely.
    while (size > left) {
      const outer = axis - 1;
      if (outer < 0 || steps[outer] !== step * left) return undefined;
      left *= sizes[outer] as number;
      axis = outer;
    }
    if (left % size !== 0) return undefined;
    result[target] = step;
    step *= size;
    left /= size;
  }
  return result;
}

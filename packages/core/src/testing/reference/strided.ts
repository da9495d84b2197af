/** Row-major numbers with their shape: what references work on. */
export interface HostTensor {
  readonly data: ArrayLike<number>;
  readonly shape: readonly number[];
}

/** Elements of `x` in the order of the broadcast shape. */
export function broadcastReference(x: HostTensor, shape: readonly number[]): Float64Array {
  const out = new Float64Array(shape.reduce((product, size) => product * size, 1));
  const lead = shape.length - x.shape.length;
  for (let at = 0; at < out.length; at++) {
    let rest = at;
    let from = 0;
    let stride = 1;
    for (let axis = shape.length - 1; axis >= lead; axis--) {
      const size = shape[axis] as number;
      const own = x.shape[axis - lead] as number;
      from += (own === 1 ? 0 : rest % size) * stride;
      stride *= own;
      rest = Math.floor(rest / size);
    }
    out[at] = x.data[from] as number;
  }
  return out;
}

/** Elements of `x` with its axes in another order: `axes[i]` is the axis of `x` that becomes axis `i`. */
export function transposeReference(x: HostTensor, axes: readonly number[]): Float64Array {
  const strides = x.shape.map((_, axis) => x.shape.slice(axis + 1).reduce((product, size) => product * size, 1));
  const shape = axes.map((axis) => x.shape[axis] as number);
  const out = new Float64Array(x.data.length);
  for (let at = 0; at < out.length; at++) {
    let rest = at;
    let from = 0;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += (rest % (shape[axis] as number)) * (strides[axes[axis] as number] as number);
      rest = Math.floor(rest / (shape[axis] as number));
    }
    out[at] = x.data[from] as number;
  }
  return out;
}

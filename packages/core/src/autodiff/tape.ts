import type { Gpu } from '../device/gpu.ts';
import { ArgumentError, DisposedError, RefusedError, ShapeError } from '../errors.ts';
import { contiguous, copyInto } from '../ops/copy.ts';
import { add } from '../ops/elementwise.ts';
import { sumTo } from '../ops/sum-to.ts';
import type { Dtype } from '../tensor/dtype.ts';
import { resolveAxis, type Shape, sameShape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** What differentiable ops take and give: a tensor that is a constant, or a value that a tape tracks. */
export type Value = Tensor | Tracked;

/** Gradients of the inputs of an operation, in their order, in f32; undefined for an input that gets none. */
export type Backward = (gradient: Tensor, saved: readonly Tensor[]) => readonly (Tensor | undefined)[];

/** The result of an operation, and how its gradient becomes those of its inputs. */
export interface Recorded {
  readonly output: Tensor;
  /** What `backward` reads. The tape holds these, and nothing else, until it has run. */
  readonly saved: readonly Tensor[];
  readonly backward: Backward;
}

interface TapeNode {
  readonly name: string;
  readonly output: number;
  /** The tracked inputs, with their place among all. */
  readonly inputs: readonly { readonly place: number; readonly id: number; readonly shape: Shape }[];
  readonly saved: readonly Tensor[];
  readonly backward: Backward;
}

/** Looks at the result of every operation as it is recorded, for whoever searches where a number went wrong. */
export type Inspect = (operation: string, output: Tensor) => void;

/** The operations of one forward pass, in their order, and the tensors that they need until the backward pass. */
export class Tape {
  readonly gpu: Gpu;
  readonly #nodes: TapeNode[] = [];
  /** Tensors of tracked values, by id. */
  readonly #values: Tensor[] = [];
  readonly #inspect: Inspect | undefined;
  #recording = true;

  constructor(gpu: Gpu, inspect?: Inspect) {
    this.gpu = gpu;
    this.#inspect = inspect;
  }

  get recording(): boolean {
    return this.#recording;
  }

  /** Begins to track a tensor. The tape holds a handle of its own. */
  track(tensor: Tensor): Tracked {
    const own = this.gpu.keep(tensor.alias());
    this.#values.push(own);
    return new Tracked(this, own, this.#values.length - 1);
  }

  /** Adds an operation. */
  record(name: string, inputs: readonly Value[], { output, saved, backward }: Recorded): Tracked {
    const tracked = this.track(output);
    this.#inspect?.(name, output);
    this.#nodes.push({
      name,
      output: tracked.id,
      inputs: inputs.flatMap((input, place) =>
        input instanceof Tracked ? [{ place, id: input.id, shape: input.shape }] : [],
      ),
      saved: saved.map((tensor) => this.gpu.keep(tensor.alias())),
      backward,
    });
    return tracked;
  }

  /** Frees the tensors of all tracked values; what operations saved stays. */
  stop(): void {
    this.#recording = false;
    for (const tensor of this.#values) tensor.dispose();
  }

  /**
   * Gradients of a result by the tracked values `by`, zeros for those that it does not depend on, from the gradient of the result: of a
   * scalar, 1. Operations are visited
   * once each, latest first; contributions to a value are added in that order, so results reproduce bit by bit.
   */
  gradients(result: Tracked, by: readonly Tracked[], of?: Tensor): Tensor[] {
    const { gpu } = this;
    const pending = new Map<number, Tensor>([[result.id, of?.alias() ?? gpu.tensor([1], result.shape)]]);
    for (const node of this.#nodes.toReversed()) {
      const gradient = pending.get(node.output);
      if (gradient) {
        pending.delete(node.output);
        for (const [id, given] of this.#through(node, gradient)) {
          const before = pending.get(id);
          pending.set(id, before ? add(before, given) : given);
          if (!before) continue;
          before.dispose();
          given.dispose();
        }
        gradient.dispose();
      }
      for (const tensor of node.saved) tensor.dispose();
    }
    return by.map(({ id, shape }) => {
      const gradient = pending.get(id);
      // A gradient may be a broadcast view or share memory with another one's; the caller gets tensors of their own.
      return gradient ? owned(gradient) : gpu.zeros(shape);
    });
  }

  /** Frees everything that is still held. */
  close(): void {
    this.stop();
    for (const { saved } of this.#nodes) for (const tensor of saved) tensor.dispose();
  }

  #through(node: TapeNode, gradient: Tensor): [id: number, gradient: Tensor][] {
    return this.gpu.tidy(() => {
      const given = node.backward(gradient, node.saved);
      return node.inputs.flatMap(({ place, id, shape }): [number, Tensor][] => {
        const own = given[place];
        if (!own) return [];
        if (!sameShape(own.shape, shape)) {
          throw new ShapeError(node.name, `the gradient of input ${place} is [${own.shape}], the input [${shape}].`);
        }
        // Handles of their own: an operation may hand its gradient on, to several inputs too.
        return [[id, own.alias()]];
      });
    });
  }
}

function owned(tensor: Tensor): Tensor {
  const copy = tensor.gpu.empty(tensor.shape);
  copyInto(copy, tensor);
  tensor.dispose();
  return copy;
}

/**
 * A value inside of `valueAndGrad`: a tensor whose use is recorded. It is no `Tensor`, so that an op that does not record
 * refuses it instead of losing the gradient. Ends with the function that was given it.
 */
export class Tracked {
  readonly tape: Tape;
  readonly id: number;
  readonly #tensor: Tensor;

  /** Used by {@link Tape}. */
  constructor(tape: Tape, tensor: Tensor, id: number) {
    this.tape = tape;
    this.#tensor = tensor;
    this.id = id;
  }

  get gpu(): Gpu {
    return this.#tensor.gpu;
  }

  get shape(): Shape {
    return this.#tensor.shape;
  }

  get dtype(): Dtype {
    return this.#tensor.dtype;
  }

  get rank(): number {
    return this.#tensor.rank;
  }

  get size(): number {
    return this.#tensor.size;
  }

  /** The value. @throws DisposedError after the end of the function that was given it. */
  get tensor(): Tensor {
    if (this.#tensor.disposed) throw new DisposedError(`Tracked value [${this.shape}]`);
    return this.#tensor;
  }

  /** The same elements under another shape; one size may be -1. Strided values are copied. */
  reshape(shape: Shape): Tracked {
    const from = this.shape;
    return this.#view(
      'reshape',
      (x) => contiguous(x).reshape(shape),
      (gradient) => contiguous(gradient).reshape(from),
    );
  }

  /** Axes in another order; by default the last two swapped. */
  transpose(...axes: number[]): Tracked {
    const inverse: number[] = [];
    axes.forEach((axis, place) => {
      inverse[resolveAxis('transpose', axis, this.rank)] = place;
    });
    return this.#view(
      'transpose',
      (x) => x.transpose(...axes),
      (gradient) => gradient.transpose(...inverse),
    );
  }

  /** Elements [start, end) of one axis. */
  slice(axis: number, start: number, end: number): Tracked {
    const { shape } = this;
    return this.#view(
      'slice',
      (x) => x.slice(axis, start, end),
      (gradient) => {
        const whole = gradient.gpu.zeros(shape);
        copyInto(whole.slice(axis, start, end), gradient);
        return whole;
      },
    );
  }

  /** Repeats axes of size 1, as NumPy's broadcast_to. */
  broadcastTo(shape: Shape): Tracked {
    const from = this.shape;
    return this.#view(
      'broadcastTo',
      (x) => x.broadcastTo(shape),
      (gradient) => sumTo(gradient, from),
    );
  }

  #view(name: string, forward: (x: Tensor) => Tensor, backward: (gradient: Tensor) => Tensor): Tracked {
    return record(name, [this], (x) => ({
      output: forward(x as Tensor),
      saved: [],
      backward: (gradient) => [backward(gradient)],
    })) as Tracked;
  }
}

/** The tape of tracked inputs, or undefined where nothing is tracked. */
function tapeOf(name: string, inputs: readonly Value[]): Tape | undefined {
  const tapes = new Set(inputs.flatMap((input) => (input instanceof Tracked ? [input.tape] : [])));
  if (tapes.size > 1) {
    throw new RefusedError(
      `${name}: the inputs are tracked by different calls of valueAndGrad; use stopGradient on one.`,
    );
  }
  const [tape] = tapes;
  if (tape && !tape.recording) throw new DisposedError(`${name}: a tracked value`);
  return tape;
}

/** Runs an operation; where an input is tracked, so is the result. Where none is, this is `forward(...).output`. */
export function record(
  name: string,
  inputs: readonly Value[],
  forward: (...tensors: readonly Tensor[]) => Recorded,
): Value {
  const tape = tapeOf(name, inputs);
  const tensors = inputs.map((input) => (input instanceof Tracked ? input.tensor : input));
  const [first] = tensors;
  if (!first) throw new ArgumentError(`${name}: inputs`, inputs, 'at least one value');
  // What a tape needs it keeps; everything else that was made here is freed.
  return first.gpu.tidy(() => {
    const recorded = forward(...tensors);
    return tape ? tape.record(name, inputs, recorded) : recorded.output;
  });
}

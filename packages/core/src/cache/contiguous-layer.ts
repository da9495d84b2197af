import type { Gpu } from '../device/gpu.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { RowSource } from './ragged-layout.ts';
import { allocateRows, copyRows, type RowShape, type Rows, type RowTensors, rowShape } from './row-storage.ts';
import type { SequencePass } from './sequence-pass.ts';
import { SharedTensors } from './shared-tensors.ts';
import type { CacheView, LayerSequence, RowBounds, RowLayer, SavedLayer } from './types.ts';
import { writeRows } from './write-rows.ts';

/** Keys and values of all tokens, [B, Hkv, capacity, D]: the row of a token is its position. */
export class ContiguousLayer implements RowLayer {
  readonly kind = 'contiguous';
  readonly rowsArePositions = true;
  readonly window = undefined;
  readonly #gpu: Gpu;
  #rows: Rows;

  /** @throws LimitError when the keys are over the device's binding limit */
  static create(gpu: Gpu, shape: RowShape): ContiguousLayer {
    return new ContiguousLayer(gpu, allocateRows(gpu, shape));
  }

  private constructor(gpu: Gpu, rows: Rows) {
    this.#gpu = gpu;
    this.#rows = rows;
  }

  get keys(): Tensor {
    return this.#rows.tensors.keys;
  }

  get values(): Tensor {
    return this.#rows.tensors.values;
  }

  get shape(): RowShape {
    return rowShape(this.#rows);
  }

  get signature(): string {
    const { kvHeads, headSize, dtype } = this.shape;
    return `rows ${kvHeads} ${headSize} ${dtype}`;
  }

  get bytes(): number {
    return this.#rows.bytes;
  }

  capacityOf(): number {
    return this.shape.capacity;
  }

  bounds(_: number, length: number): RowBounds {
    return { total: length * this.shape.kvHeads, longest: length, since: 0, appended: length };
  }

  source(lengths: readonly number[]): RowSource {
    return { kind: 'contiguous', keys: this.keys, values: this.values, lengths };
  }

  append(pass: SequencePass, k: Tensor, v: Tensor): CacheView {
    this.own(pass.starts);
    writeRows({ kind: 'rows', keys: this.keys, values: this.values }, k, v, pass);
    return this.view(pass);
  }

  view(pass: SequencePass): CacheView {
    return {
      keys: this.keys,
      values: this.values,
      options: { ...pass.keyLength('ends', pass.ends), ...pass.queryLength },
    };
  }

  overwrite(position: number, k: Tensor, v: Tensor, lengths: readonly number[]): void {
    this.own(lengths);
    writeRows({ kind: 'rows', keys: this.keys, values: this.values }, k, v, position);
  }

  refusesTruncation(): undefined {}

  settle(): void {}

  truncate(): void {}

  grow(capacity: number, lengths: readonly number[]): void {
    this.#move(capacity, lengths);
  }

  fork(): ContiguousLayer {
    return new ContiguousLayer(this.#gpu, this.#rows.share());
  }

  save(lengths: readonly number[]): SavedLayer {
    const longest = Math.max(...lengths, 1);
    const cut = (tensor: Tensor) => tensor.slice(2, 0, longest);
    const tensors = { keys: cut(this.keys), values: cut(this.values) };
    return { facts: { kind: this.kind, capacity: this.shape.capacity }, tensors, rows: lengths };
  }

  /** @param tensors As {@link save} gave them, which this frees; @param facts likewise */
  static restore(gpu: Gpu, facts: { capacity: number }, tensors: RowTensors): ContiguousLayer {
    const rows = new SharedTensors(gpu, { keys: tensors.keys, values: tensors.values });
    const { batch, capacity: saved } = rowShape(rows);
    const sources = Array.from({ length: batch }, (_, sequence) => ({ rows, sequence, length: saved }));
    const layer = new ContiguousLayer(gpu, copyRows(gpu, Math.max(facts.capacity, saved), sources));
    rows.release();
    return layer;
  }

  join(sources: readonly LayerSequence[], capacity: number): ContiguousLayer {
    const rows = sources.map(({ layer, ...rest }) => ({ rows: (layer as ContiguousLayer).#rows, ...rest }));
    return new ContiguousLayer(this.#gpu, copyRows(this.#gpu, capacity, rows));
  }

  dispose(): void {
    this.#rows.release();
  }

  /** Before a write: buffers that no fork shares. */
  own(lengths: readonly number[]): void {
    if (this.#rows.shared) this.#move(this.shape.capacity, lengths);
  }

  #move(capacity: number, lengths: readonly number[]): void {
    const rows = this.#rows;
    const sources = lengths.map((length, sequence) => ({ rows, sequence, length }));
    this.#rows = copyRows(this.#gpu, capacity, sources);
    rows.release();
  }
}

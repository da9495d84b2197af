import type { Gpu } from '../device/gpu.ts';
import { ArgumentError } from '../errors.ts';
import { defineKernel } from '../kernels/kernel.ts';
import { gather } from '../ops/gather.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { RowSource } from './ragged-layout.ts';
import { allocateRows, copyRows, type RowShape, type Rows, type RowTensors, rowShape } from './row-storage.ts';
import type { SequencePass } from './sequence-pass.ts';
import { SharedTensors } from './shared-tensors.ts';
import type { CacheView, LayerSequence, RowBounds, RowLayer, SavedLayer } from './types.ts';
import { writeRows } from './write-rows.ts';

const workgroupSize = 64;

/**
 * For each row of an unrolled window its place in the ring: the last tokens of every sequence in ascending order, from
 * row 0 on. Rows behind them get no place.
 */
const ringRowsKernel = defineKernel<Record<never, never>>({
  name: 'cache-ring-rows',
  bindings: () => [
    { name: 'starts', type: 'array<u32>', access: 'read' },
    { name: 'rows', type: 'array<u32>', access: 'read_write' },
  ],
  parameters: [
    ['size', 'u32'],
    ['kv_heads', 'u32'],
    ['unrolled', 'u32'],
    ['window', 'u32'],
  ],
  workgroupSize: () => workgroupSize,
  source: () => ({
    main: `
  let index = group * ${workgroupSize}u + lane;
  if (index >= params.size) { return; }
  let row = index % params.unrolled;
  let head = index / params.unrolled;
  let start = starts[head / params.kv_heads];
  let past = min(start, params.window - 1u);
  rows[index] = select(0xffffffffu, head * params.window + (start - past + row) % params.window, row < past);`,
  }),
});

/**
 * Keys and values of the last W tokens, [B, Hkv, W, D]: the token at position p stands in row p modulo W. A single new
 * token sees exactly the rows of the ring, whatever their order. A longer pass sees rows that it replaces itself, so it
 * gets a copy: the window before the pass in order, and the new rows behind it.
 */
export class WindowLayer implements RowLayer {
  readonly kind = 'window';
  readonly rowsArePositions = false;
  readonly #gpu: Gpu;
  #ring: Rows;

  static create(gpu: Gpu, shape: RowShape): WindowLayer {
    return new WindowLayer(gpu, allocateRows(gpu, shape));
  }

  private constructor(gpu: Gpu, ring: Rows) {
    this.#gpu = gpu;
    this.#ring = ring;
  }

  get keys(): Tensor {
    return this.#ring.tensors.keys;
  }

  get values(): Tensor {
    return this.#ring.tensors.values;
  }

  get shape(): RowShape {
    return rowShape(this.#ring);
  }

  get signature(): string {
    const { kvHeads, headSize, dtype } = this.shape;
    return `window ${this.window} ${kvHeads} ${headSize} ${dtype}`;
  }

  /** W */
  get window(): number {
    return this.keys.shape[2] as number;
  }

  get bytes(): number {
    return this.#ring.bytes;
  }

  capacityOf(): number {
    return Number.POSITIVE_INFINITY;
  }

  bounds(_: number, length: number): RowBounds {
    const longest = Math.min(length, this.window);
    const all = length <= this.window;
    return {
      total: longest * this.shape.kvHeads,
      longest,
      since: all ? 0 : length,
      appended: all ? length : 0,
    };
  }

  source(lengths: readonly number[]): RowSource {
    return { kind: 'ring', keys: this.keys, values: this.values, lengths };
  }

  append(pass: SequencePass, k: Tensor, v: Tensor): CacheView {
    this.own();
    const unrolled = pass.tokens > 1 ? this.#unroll(pass, k, v) : undefined;
    writeRows({ kind: 'rows', keys: this.keys, values: this.values }, k, v, pass);
    return unrolled ?? this.view(pass);
  }

  view(pass: SequencePass): CacheView {
    const { window } = this;
    const ends = pass.ends.map((end) => Math.min(end, window));
    return {
      keys: this.keys,
      values: this.values,
      options: { ...pass.keyLength(`ends-${window}`, ends, window), ...pass.queryLength },
    };
  }

  overwrite(position: number, k: Tensor, v: Tensor, lengths: readonly number[]): void {
    const oldest = Math.max(...lengths) - this.window;
    if (position < oldest) {
      throw new ArgumentError('LayerCache.overwrite: position', position, `${oldest} or more: the rows in the window`);
    }
    this.own();
    writeRows({ kind: 'rows', keys: this.keys, values: this.values }, k, v, position);
  }

  refusesTruncation(lengths: readonly number[], to: readonly number[]): string | undefined {
    const lost = lengths.some((length, sequence) => length > this.window && (to[sequence] as number) < length);
    return lost ? `a window of ${this.window} tokens has replaced the rows that come back into sight` : undefined;
  }

  settle(): void {}

  truncate(): void {}

  grow(): void {}

  fork(): WindowLayer {
    return new WindowLayer(this.#gpu, this.#ring.share());
  }

  save(lengths: readonly number[]): SavedLayer {
    const tensors = { keys: this.keys.alias(), values: this.values.alias() };
    return { facts: { kind: this.kind }, tensors, rows: lengths };
  }

  /** @param tensors As {@link save} gave them, which the layer then owns */
  static restore(gpu: Gpu, tensors: RowTensors): WindowLayer {
    return new WindowLayer(gpu, new SharedTensors(gpu, { keys: tensors.keys, values: tensors.values }));
  }

  join(sources: readonly LayerSequence[]): WindowLayer {
    const rows = sources.map(({ layer, sequence }) => ({
      rows: (layer as WindowLayer).#ring,
      sequence,
      length: this.window,
    }));
    return new WindowLayer(this.#gpu, copyRows(this.#gpu, this.window, rows));
  }

  dispose(): void {
    this.#ring.release();
  }

  /** Before a write: buffers that no fork shares. */
  own(): void {
    const ring = this.#ring;
    if (!ring.shared) return;
    const sources = Array.from({ length: this.shape.batch }, (_, sequence) => ({
      rows: ring,
      sequence,
      length: this.window,
    }));
    this.#ring = copyRows(this.#gpu, this.window, sources);
    ring.release();
  }

  /** The rows that the queries of a longer pass see: [B, Hkv, past + N, D], in the order of their positions. */
  #unroll(pass: SequencePass, k: Tensor, v: Tensor): CacheView {
    const { window } = this;
    const gpu = this.#gpu;
    const { batch, kvHeads, headSize } = this.shape;
    const past = pass.starts.map((start) => Math.min(start, window - 1));
    const unrolled = Math.max(...past) + pass.tokens;
    const shape = [batch, kvHeads, unrolled, headSize];
    const size = batch * kvHeads * unrolled;
    const [keys, values] = gpu.tidy(() => {
      const rows = gpu.empty([size], 'u32');
      gpu.launch(
        ringRowsKernel,
        {},
        {
          bindings: [pass.onDevice('starts', () => pass.starts), rows],
          parameters: [size, kvHeads, unrolled, window],
          workgroups: Math.ceil(size / workgroupSize),
          cost: { flops: 0, bytes: 4 * size },
        },
      );
      const flat = [batch * kvHeads * window, headSize];
      return [this.keys, this.values].map((ring) => gather(ring.reshape(flat), rows).reshape(shape)) as [
        Tensor,
        Tensor,
      ];
    });
    writeRows({ kind: 'rows', keys, values }, k, v, pass.at(`unrolled-${window}`, past));
    const ends = past.map((length, sequence) => length + (pass.counts[sequence] as number));
    const keyLength = pass.keyLength(`ends-unrolled-${window}`, ends);
    return { keys, values, options: { ...keyLength, slidingWindow: window, ...pass.queryLength } };
  }
}

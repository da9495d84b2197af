import type { Gpu } from '../device/gpu.ts';
import { defineKernel } from '../kernels/kernel.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** Words between the parts of a table, so that each can be bound by itself at the largest alignment that WebGPU allows. */
export function headStride(heads: number): number {
  return Math.ceil(heads / 64) * 64;
}

const shortenKernel = defineKernel<Record<never, never>>({
  name: 'cache-shorten',
  bindings: () => [
    { name: 'removed', type: 'array<u32>', access: 'read' },
    { name: 'heads', type: 'array<u32>', access: 'read_write' },
  ],
  parameters: [
    ['count', 'u32'],
    ['kv_heads', 'u32'],
    ['lengths_at', 'u32'],
  ],
  workgroupSize: () => 64,
  source: () => ({
    main: `
  for (var head = lane; head < params.count; head += 64u) {
    let length = heads[params.lengths_at + head];
    heads[params.lengths_at + head] = length - min(length, removed[head / params.kv_heads]);
  }`,
  }),
});

/**
 * Where the rows of each (sequence, head) stand, u32 [3 * stride]: starts, and two lists of lengths. One list counts; an
 * append writes the other, which counts after it, so that a pass that is not finished changes nothing.
 */
export class HeadTable {
  /** u32 [B, Hkv] */
  readonly starts: Tensor;
  parity: 0 | 1;
  readonly #table: Tensor;
  readonly #lengths: readonly [Tensor, Tensor];
  readonly #stride: number;
  readonly #kvHeads: number;
  readonly #batch: number;

  /** `table` stays the caller's. */
  constructor(table: Tensor, batch: number, kvHeads: number, parity: 0 | 1) {
    const { gpu } = table;
    const count = batch * kvHeads;
    this.#stride = headStride(count);
    this.#table = table;
    this.#batch = batch;
    this.#kvHeads = kvHeads;
    this.parity = parity;
    const part = (index: number) =>
      gpu.keep(
        gpu.tidy(() => table.slice(0, index * this.#stride, index * this.#stride + count).reshape([batch, kvHeads])),
      );
    this.starts = part(0);
    this.#lengths = [part(1), part(2)];
  }

  /** The table of several sequences, each from a table of its own. The caller keeps what it returns. */
  static concatenate(gpu: Gpu, tables: readonly Tensor[], kvHeads: number): Tensor {
    const stride = headStride(tables.length * kvHeads);
    const joined = gpu.empty([3 * stride], 'u32');
    const to = gpu.range(joined, 'cache');
    for (const [sequence, table] of tables.entries()) {
      const from = gpu.range(table, 'cache');
      for (let part = 0; part < 3; part++) {
        const source = { ...from, offset: from.offset + 4 * part * headStride(kvHeads) };
        const target = { ...to, offset: to.offset + 4 * (part * stride + sequence * kvHeads) };
        gpu.copyBytes(source, target, 4 * kvHeads);
      }
    }
    return joined;
  }

  /** u32 [B, Hkv]: rows that count, or those that will after the pass that is open. */
  lengths(next: boolean): Tensor {
    return this.#lengths[next ? ((1 - this.parity) as 0 | 1) : this.parity];
  }

  /** Where {@link lengths} begin, in words. */
  lengthsAt(next: boolean): number {
    return (1 + (next ? 1 - this.parity : this.parity)) * this.#stride;
  }

  /** The lengths that an append wrote count from now on. */
  turn(): void {
    this.parity = (1 - this.parity) as 0 | 1;
  }

  /** Takes rows off the end of every head, by sequence. */
  shorten(removed: readonly number[]): void {
    const { gpu } = this.#table;
    gpu.tidy(() => {
      const parameters = [this.#batch * this.#kvHeads, this.#kvHeads, this.lengthsAt(false)];
      const bindings = [gpu.tensor(removed, [removed.length], 'u32'), this.#table];
      gpu.launch(shortenKernel, {}, { bindings, parameters, workgroups: 1 });
    });
  }

  dispose(): void {
    for (const view of [this.starts, ...this.#lengths]) view.dispose();
  }
}

import type { Gpu } from '../device/gpu.ts';
import type { PlainDtype } from '../tensor/dtype.ts';
import type { Shape } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';

/**
 * A copy of keys or values [B, Hkv, M, D] with NaN in every row that is not kept.
 *
 * @param kept Whether a row is kept; `head` counts through batch and head: b Hkv + h.
 */
export function poisonRows(
  data: ArrayLike<number>,
  shape: Shape,
  kept: (head: number, position: number) => boolean,
): Float32Array {
  const [, , positions, headSize] = shape as [number, number, number, number];
  const poisoned = Float32Array.from(data);
  for (let row = 0; row * headSize < poisoned.length; row++) {
    if (kept(Math.floor(row / positions), row % positions)) continue;
    poisoned.fill(Number.NaN, row * headSize, (row + 1) * headSize);
  }
  return poisoned;
}

/** Key rows that a recorded computation loads, by the kernel's own count (`keyRowCounter`). One readback. */
export async function countKeyRows(gpu: Gpu, record: (keyRowCounter: Tensor) => void): Promise<number> {
  const counter = gpu.zeros([1], 'u32');
  // What it returns is freed with the rest.
  gpu.tidy(() => {
    record(counter);
  });
  const [count] = await counter.read();
  counter.dispose();
  return count as number;
}

/** A sparse computation over keys and values, and what it claims to read. */
export interface SparseProof {
  readonly gpu: Gpu;
  /** [B, Hkv, M, D], row-major. */
  readonly keys: ArrayLike<number>;
  readonly values: ArrayLike<number>;
  readonly shape: Shape;
  /** Storage of both. Default f32. */
  readonly dtype?: PlainDtype;
  /** Whether a row may be read; `head` counts through batch and head: b Hkv + h. */
  readonly selected: (head: number, position: number) => boolean;
  /** Runs the computation; with a counter (u32 [1]) in the variant that counts the key rows it loads. */
  readonly run: (keys: Tensor, values: Tensor, keyRowCounter?: Tensor) => Tensor;
  /** Key rows that the computation declares to load. */
  readonly declaredKeyRows: number;
}

/**
 * Proves that a sparse kernel is sparse. *Poisoning*: with NaN in every key and value row outside the selection, the
 * output is bit-identical. *Counting*: the kernel's own count of loaded key rows equals the declared cost.
 *
 * @throws Error that says which proof failed and how, also when nothing lies outside the selection.
 */
export async function proveSparse(proof: SparseProof): Promise<void> {
  const { gpu, keys, values, shape, dtype = 'f32', selected, run } = proof;
  const output = async (k: ArrayLike<number>, v: ArrayLike<number>): Promise<Float32Array> => {
    const result = gpu.tidy(() => run(gpu.tensor(k, shape, dtype), gpu.tensor(v, shape, dtype)));
    const data = await result.read();
    result.dispose();
    return data as Float32Array;
  };
  const poisoned = [poisonRows(keys, shape, selected), poisonRows(values, shape, selected)] as const;
  if (!poisoned[0].some(Number.isNaN)) {
    throw new Error('proveSparse: no row lies outside the selection, so nothing is proved.');
  }
  assertSameBits(await output(...poisoned), await output(keys, values));
  const counted = await countKeyRows(gpu, (counter) => {
    run(gpu.tensor(keys, shape, dtype), gpu.tensor(values, shape, dtype), counter);
  });
  if (counted !== proof.declaredKeyRows) {
    throw new Error(`proveSparse: counting: ${counted} key rows were loaded, ${proof.declaredKeyRows} are declared.`);
  }
}

function assertSameBits(poisoned: Float32Array, clean: Float32Array): void {
  const bits = (data: Float32Array) => new Uint32Array(data.buffer, data.byteOffset, data.length);
  const expected = bits(clean);
  const at = bits(poisoned).findIndex((word, index) => word !== expected[index]);
  if (poisoned.length !== clean.length || at >= 0) {
    throw new Error(
      `proveSparse: poisoning: element ${at} is ${poisoned[at]} with NaN outside the selection, ${clean[at]} without.`,
    );
  }
  if (clean.some(Number.isNaN)) throw new Error('proveSparse: the output holds NaN even without poison.');
}

import { type AttentionOptions, attention, type Gpu } from '@saccade/core';
import { type DenoisingInput, type DenoisingShape, randomArray } from '@saccade/core/testing';
import { type BlockPattern, type SelectBlocksOptions, selectBlocks } from '../src/index.ts';

/** Queries and keys are large, so that attention is uneven. */
export function randomInput(
  { batches, heads, kvHeads, length, headSize }: DenoisingShape,
  seed: number,
): DenoisingInput {
  const [own, shared] = [batches * heads * length * headSize, batches * kvHeads * length * headSize];
  return [
    randomArray(own, 3 * seed, { scale: 3 }),
    randomArray(shared, 3 * seed + 1, { scale: 3 }),
    randomArray(shared, 3 * seed + 2),
  ];
}

/** Rows of lists as sets of blocks, [B H][n]. */
export async function readPattern({ indices, counts }: BlockPattern): Promise<number[][][]> {
  const [entries, lengths] = (await indices.gpu.read([indices, counts])) as [Uint32Array, Uint32Array];
  const [batches, heads, rows, width] = indices.shape as [number, number, number, number];
  return Array.from({ length: batches * heads }, (_, head) =>
    Array.from({ length: rows }, (__, row) => {
      const list = head * rows + row;
      return [...entries.subarray(list * width, list * width + (lengths[list] as number))];
    }),
  );
}

/** The lists of one call, on the host. */
export async function selected(gpu: Gpu, c: DenoisingShape, [q, k]: DenoisingInput, options: SelectBlocksOptions) {
  const pattern = gpu.tidy(() =>
    selectBlocks(
      gpu.tensor(q, [c.batches, c.heads, c.length, c.headSize]),
      gpu.tensor(k, [c.batches, c.kvHeads, c.length, c.headSize]),
      options,
    ),
  );
  const lists = await readPattern(pattern);
  pattern.indices.dispose();
  pattern.counts.dispose();
  return lists;
}

/** Attention over lists of the host, [B, H, N, D]. */
export async function attended(
  gpu: Gpu,
  c: DenoisingShape,
  [q, k, v]: DenoisingInput,
  lists: number[][][] | undefined,
  size: number,
) {
  const width = Math.max(1, ...(lists ?? []).flat().map((list) => list.length));
  const output = gpu.tidy(() => {
    const rows = [c.batches, c.heads, Math.ceil(c.length / size)];
    const padded = (lists ?? []).flat().flatMap((list) => [...list, ...new Array<number>(width - list.length).fill(0)]);
    const options: AttentionOptions = lists
      ? {
          blocks: {
            indices: gpu.tensor(padded, [...rows, width], 'u32'),
            counts: gpu.tensor(
              lists.flat().map((list) => list.length),
              rows,
              'u32',
            ),
            queryBlock: size,
            keyBlock: size,
            per: 'queryHead',
          },
        }
      : {};
    const kv = [c.batches, c.kvHeads, c.length, c.headSize];
    const query = gpu.tensor(q, [c.batches, c.heads, c.length, c.headSize]);
    return attention(query, gpu.tensor(k, kv), gpu.tensor(v, kv), options).output;
  });
  const data = (await output.read()) as Float32Array;
  output.dispose();
  return data;
}

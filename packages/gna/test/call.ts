import type { Gpu, Tensor } from '@saccade/core';
import { randomArray } from '@saccade/core/testing';
import type { NeighborhoodReferenceInput } from '../src/reference.ts';

export type Sizes = Pick<NeighborhoodReferenceInput, 'layout' | 'batches' | 'heads' | 'kvHeads' | 'headSize'>;

const product = (values: readonly number[]) => values.reduce((total, value) => total * value, 1);

/** Random queries, keys and values in heads-last arrays, and `additional` further keys and values. */
export function randomCall({ layout, batches, heads, kvHeads, headSize }: Sizes, additional = 0) {
  const many = (count: number, tokens: number, seed: number) =>
    randomArray(batches * tokens * count * headSize, seed, { scale: 2 });
  const tokens = product(layout);
  return {
    q: many(heads, tokens, 1),
    k: many(kvHeads, tokens, 2),
    v: many(kvHeads, tokens, 3),
    additionalKeys: many(kvHeads, additional, 4),
    additionalValues: many(kvHeads, additional, 5),
  };
}

/** The same on the device: [B, X1, ..., Xr, H, D] each, additional ones [B, M, Hkv, D]. */
export function upload(
  gpu: Gpu,
  call: ReturnType<typeof randomCall>,
  { layout, batches, heads, kvHeads, headSize }: Sizes,
) {
  const grid = (data: Float32Array, count: number): Tensor => gpu.tensor(data, [batches, ...layout, count, headSize]);
  const more = (data: Float32Array) =>
    gpu.tensor(data, [batches, data.length / (batches * kvHeads * headSize), kvHeads, headSize]);
  return {
    ...{ q: grid(call.q, heads), k: grid(call.k, kvHeads), v: grid(call.v, kvHeads) },
    additional: { additionalKeys: more(call.additionalKeys), additionalValues: more(call.additionalValues) },
  };
}

import type { Gpu, Tensor } from '@saccade/core';
import { readLogSumExp } from '@saccade/core';
import { randomArray } from '@saccade/core/testing';
import type { FlashAttentionResult } from '../src/index.ts';
import type { ReferenceInput, ReferenceShape } from '../src/reference.ts';

/** A call with random queries, keys and values. */
export function randomCall(
  shape: ReferenceShape,
  options: Omit<ReferenceInput, keyof ReferenceShape | 'q' | 'k' | 'v'> = {},
): ReferenceInput {
  const { batches, heads, kvHeads, queries, keys, headSize } = shape;
  return {
    ...shape,
    ...options,
    q: randomArray(batches * heads * queries * headSize, 1, { scale: 2 }),
    k: randomArray(batches * kvHeads * keys * headSize, 2, { scale: 2 }),
    v: randomArray(batches * kvHeads * keys * headSize, 3),
  };
}

/** The tensors of a call. Call inside `gpu.tidy`. */
export function upload(gpu: Gpu, call: ReferenceInput): { q: Tensor; k: Tensor; v: Tensor } {
  const { batches, heads, kvHeads, queries, keys, headSize } = call;
  const stored = [batches, kvHeads, keys, headSize];
  return {
    q: gpu.tensor(call.q, [batches, heads, queries, headSize]),
    k: gpu.tensor(call.k, stored),
    v: gpu.tensor(call.v, stored),
  };
}

/** Reads a result and frees it. */
export async function readResult({ out, logSumExp }: FlashAttentionResult) {
  const result = { out: (await out.read()) as Float32Array, logSumExp: await readLogSumExp(logSumExp) };
  out.dispose();
  logSumExp.dispose();
  return result;
}

/** The options of a call that the package takes. */
export function optionsOf({ scale, causal, window, softcap }: ReferenceInput) {
  return {
    ...(scale === undefined ? {} : { scale }),
    ...(causal === undefined ? {} : { causal }),
    ...(window === undefined ? {} : { window }),
    ...(softcap === undefined ? {} : { softcap }),
  };
}

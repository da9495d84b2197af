import type { Gpu } from '../device/gpu.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { AttentionResult } from './types.ts';

/**
 * Outputs and statistics of `parts` partial results in one buffer, since a kernel may bind only eight: first the
 * outputs [parts, B, N, H, D], then the log-sum-exps and the row maxima [parts, B, H, N], each region aligned so that
 * its view can be bound by itself.
 */
export interface ResultBuffer {
  readonly buffer: Tensor;
  readonly logSumExpStart: number;
  readonly rowMaximumStart: number;
}

export interface ResultShape {
  readonly batches: number;
  readonly heads: number;
  readonly queries: number;
  readonly headSize: number;
}

// 64 f32 are 256 bytes, the largest alignment that WebGPU lets a device ask for.
const align = (elements: number): number => Math.ceil(elements / 64) * 64;

export function resultBuffer(gpu: Gpu, shape: ResultShape, parts: number, statistics: boolean): ResultBuffer {
  const rows = parts * shape.batches * shape.heads * shape.queries;
  const logSumExpStart = align(rows * shape.headSize);
  const rowMaximumStart = logSumExpStart + align(rows);
  const size = statistics ? rowMaximumStart + rows : rows * shape.headSize;
  return { buffer: gpu.empty([size]), logSumExpStart, rowMaximumStart };
}

/** The shape of a call's results, which have the rows of q, in whatever order they are looked at. */
export function storedShape<S extends ResultShape>(shape: S, q: Tensor): S {
  return { ...shape, queries: q.shape[2] as number };
}

/** The named views of a result of one part. Call inside `gpu.tidy`, which frees the views in between. */
export function resultViews(
  result: ResultBuffer,
  { batches, heads, queries, headSize }: ResultShape,
  wanted: { readonly logSumExp: boolean; readonly rowMaximum: boolean },
): AttentionResult {
  const rows = batches * heads * queries;
  const region = (start: number, size: number) => result.buffer.slice(0, start, start + size);
  const statistic = (start: number) => region(start, rows).reshape([batches, heads, queries]);
  return {
    output: region(0, rows * headSize)
      .reshape([batches, queries, heads, headSize])
      .transpose(0, 2, 1, 3),
    ...(wanted.logSumExp ? { logSumExp: statistic(result.logSumExpStart) } : {}),
    ...(wanted.rowMaximum ? { rowMaximum: statistic(result.rowMaximumStart) } : {}),
  };
}

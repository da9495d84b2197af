import { denseRows } from '../attention/paged/unpack-rows.ts';
import { attentionStatistics } from '../attention/statistics/attention-statistics.ts';
import { placeGivenRows } from '../attention/statistics/place-given-rows.ts';
import type { AttentionResult } from '../attention/types.ts';
import { RefusedError } from '../errors.ts';
import { contiguous, copyInto } from '../ops/copy.ts';
import { matmul } from '../ops/matmul/matmul.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { assertPlainScores } from './attention-change.ts';
import type { AttentionCall } from './contexts.ts';

/**
 * Shows the probability rows of one attention call, given ones as they were given, and recomputes the output of those that were edited.
 *
 * @param result What the engine gave, log-sum-exp included.
 * @param rows Queries whose rows are shown.
 * @param show Gets the rows, f32 [R, H, M], and returns them or others.
 * @returns The output, [1, H, N, D]
 */
export function showPattern(
  call: AttentionCall,
  result: AttentionResult,
  rows: readonly number[],
  show: (pattern: Tensor) => Tensor,
): Tensor {
  const { q, keys, options } = call;
  const { output, logSumExp } = result;
  if (rows.length === 0) return output;
  if (!logSumExp || q.shape[0] !== 1 || keys.rank !== 4) {
    throw new RefusedError('attention.pattern is shown for one sequence whose keys stand in one piece per head.');
  }
  assertPlainScores(options, 'attention.pattern');
  const end = typeof options.keyLength === 'number' ? options.keyLength : (keys.shape[2] as number);
  const want = { probabilityRows: { queries: rows, keys: { start: 0, end } } };
  const { probabilityRows } = attentionStatistics(q, keys, { ...options, logSumExp, want });
  const { givenProbabilities: given } = options;
  if (given) placeGivenRows(probabilityRows, rows, q.shape[2] as number, given);
  const [, heads, count] = probabilityRows.shape as [number, number, number, number];
  const pattern = probabilityRows.reshape([heads, count, end]).transpose(1, 0, 2);
  const shown = show(pattern);
  if (shown === pattern) return output;
  const edited = output.gpu.empty(output.shape);
  copyInto(edited, output);
  const replaced = weightedValues(shown, denseRows(call.values, end));
  rows.forEach((row, index) => {
    copyInto(edited.slice(2, row, row + 1), replaced.slice(2, index, index + 1));
  });
  return edited;
}

/** Probability rows [R, H, M] times values [1, Hkv, M, D]: [1, H, R, D]. */
function weightedValues(pattern: Tensor, values: Tensor): Tensor {
  const [rows, heads, keys] = pattern.shape as [number, number, number];
  const [, kvHeads, , headSize] = values.shape as [number, number, number, number];
  const grouped = contiguous(pattern.transpose(1, 0, 2)).reshape([kvHeads, (heads / kvHeads) * rows, keys]);
  return matmul(grouped, values.reshape([kvHeads, keys, headSize])).reshape([1, heads, rows, headSize]);
}

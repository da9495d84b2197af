import type { Tensor } from '../tensor/tensor.ts';
import { checkInputs, checkLists } from './check-inputs.ts';
import { checkGivenProbabilities, giveProbabilities } from './given-probabilities.ts';
import { launchTileLoop } from './launch-tile-loop.ts';
import { mergeResultParts } from './merge.ts';
import { assertTensor, type KeyRows } from './paged/paged-rows.ts';
import { planCall } from './plan-call.ts';
import { resultViews, storedShape } from './result.ts';
import type { AttentionOptions, AttentionResult } from './types.ts';
import { callSources } from './where-to-look.ts';

/**
 * Exact attention, softmax(scale q k^T) v, over the keys that the options select; no score matrix is ever stored.
 *
 * @param q f32 or f16 [B, H, N, D]
 * @param k f32 or f16 [B, Hkv, M, D]; query head h reads key/value head floor(h Hkv / H). May be a cache's whole
 *   capacity, with `keyLength` saying how much of it counts. With `keyStarts` [rows, D]. Or rows in pages, as a paged cache gives
 *   them.
 * @param v as `k`
 *
 * All three may be strided views whose last axis is dense. Rows that see no key give zeros.
 * @throws ShapeError, ArgumentError, LimitError
 */
export function attention(q: Tensor, k: KeyRows, v: KeyRows, options: AttentionOptions = {}): AttentionResult {
  const { gpu } = q;
  const shape = checkInputs(q, k, v, options);
  const sources = callSources(options);
  checkLists('attention', sources, shape);
  const given = options.givenProbabilities;
  if (given) checkGivenProbabilities(given, shape, options);
  const stored = storedShape(shape, q);
  const call = planCall(gpu, shape, options, sources);
  const { parts, launchedParts } = call.plan;
  const { returnLogSumExp = false, returnRowMaximum = false } = options;
  const statistics = returnLogSumExp || returnRowMaximum;
  return gpu.tidy(() => {
    const loop = launchTileLoop(q, k, v, { shape, sources, call, options, statistics: statistics || parts > 1 });
    const result =
      parts > 1
        ? mergeResultParts(loop, launchedParts, stored, {
            statistics: statistics ? 'all' : 'none',
            normalised: options.normalizer !== undefined,
          })
        : loop;
    if (given) {
      assertTensor('attention: v with givenProbabilities', v);
      giveProbabilities(v, given, shape, options, result);
    }
    return resultViews(result, stored, { logSumExp: returnLogSumExp, rowMaximum: returnRowMaximum });
  });
}

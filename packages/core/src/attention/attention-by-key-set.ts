import { ArgumentError, ShapeError } from '../errors.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { type AttentionShape, checkInputs, checkLists } from './check-inputs.ts';
import type { KeySets } from './key-sets.ts';
import { launchTileLoop } from './launch-tile-loop.ts';
import type { KeyRows } from './paged/paged-rows.ts';
import { planCall } from './plan-call.ts';
import type { AttentionOptions } from './types.ts';
import { callSources } from './where-to-look.ts';

/** Attention over each of several sets of keys. */
export interface KeySetPartials {
  /** f32 [S, B, H, N, D]: attention as if there were no other keys. */
  readonly outputs: Tensor;
  /** f32 [S, B, H, N]; rows that see no key of a set hold the sentinel of an empty row. */
  readonly logSumExps: Tensor;
}

/**
 * Attention over each key set by itself, in one launch that loads every key once: `combineKeySets` mixes the results, by
 * their masses or any other weights. Keys of no set are not seen. With token or block lists, each set goes over the whole
 * list. Nothing is read back.
 *
 * @param q f32 or f16 [B, H, N, D]
 * @param k f32 or f16 [B, Hkv, M, D]
 * @param v as `k`
 * @param options As of {@link attention}, and the sets.
 * @throws ShapeError, ArgumentError for ragged storage, sinks (they belong to no set) and what `attention` refuses.
 */
export function attentionByKeySet(
  q: Tensor,
  k: KeyRows,
  v: KeyRows,
  options: Omit<AttentionOptions, 'returnLogSumExp' | 'returnRowMaximum' | 'givenProbabilities' | 'order'> & {
    readonly keySets: KeySets;
  },
): KeySetPartials {
  const { gpu } = q;
  const { keySets: sets, ...rest } = options;
  const shape = checkInputs(q, k, v, rest);
  checkKeySets(sets, shape, rest);
  const sources = callSources(rest);
  checkLists('attentionByKeySet', sources, shape);
  const planned = { ...rest, plan: { ...rest.plan, parts: sets.count } };
  const call = planCall(gpu, shape, planned, sources);
  const { batches, heads, queries, headSize } = shape;
  return gpu.tidy(() => {
    const loop = { shape, sources, call, options: rest, statistics: true, keySets: sets };
    const { buffer, logSumExpStart } = launchTileLoop(q, k, v, loop);
    const rows = sets.count * batches * heads * queries;
    return {
      outputs: buffer
        .slice(0, 0, rows * headSize)
        .reshape([sets.count, batches, queries, heads, headSize])
        .transpose(0, 1, 3, 2, 4),
      logSumExps: buffer.slice(0, logSumExpStart, logSumExpStart + rows).reshape([sets.count, batches, heads, queries]),
    };
  });
}

function checkKeySets({ ids }: KeySets, shape: AttentionShape, options: AttentionOptions): void {
  const { batches, kvHeads, keys } = shape;
  const expected = ids.rank === 2 ? [batches, keys] : [batches, kvHeads, keys];
  if (ids.shape.some((size, axis) => size !== expected[axis])) {
    throw new ShapeError('attentionByKeySet', `keySets are of [${ids.shape}]; it takes [${expected}].`);
  }
  if (options.order) throw new ArgumentError('attentionByKeySet: order', 'given', 'tensors in the order of positions');
  if (options.keyStarts) throw new ArgumentError('attentionByKeySet: keyStarts', 'a tensor', 'no ragged storage');
  if (options.scoreModifiers?.some(({ kind }) => kind === 'sinks')) {
    throw new ArgumentError('attentionByKeySet: scoreModifiers', 'sinks', 'no sinks: they belong to no set');
  }
}

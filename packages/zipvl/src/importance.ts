import {
  type AttentionOptions,
  add,
  attention,
  attentionStatistics,
  type Gpu,
  type KeyRows,
  largestMask,
  massCount,
  multiply,
  type Tensor,
} from '@saccade/core';
import { gatherTokens } from './gather-tokens.ts';
import { inverseVisits, type ProbeChoice, probeRows } from './probe-rows.ts';

/** The probe queries of a prompt on the GPU; every layer asks the same. */
export interface Probes {
  /** Their positions, ascending. */
  readonly rows: readonly number[];
  /** u32 [m] */
  readonly positions: Tensor;
  /** u32 [n]: 0, 1, ... */
  readonly numbers: Tensor;
  /** f32 [n]: one over the number of probes that may see a token. */
  readonly inverseVisits: Tensor;
  /** f32 [n]: more than any importance for the last token, 0 for the others. */
  readonly forced: Tensor;
  dispose(): void;
}

/** Puts the probes of a prompt of n tokens on the GPU. The caller disposes them. */
export function makeProbes(gpu: Gpu, n: number, choice: ProbeChoice): Probes {
  const rows = probeRows(n, choice);
  const forced = new Float32Array(n);
  forced[n - 1] = 2;
  const tensors = gpu.tidy(() => ({
    positions: gpu.keep(gpu.tensor(rows, [rows.length], 'u32')),
    numbers: gpu.keep(
      gpu.tensor(
        Uint32Array.from({ length: n }, (_, row) => row),
        [n],
        'u32',
      ),
    ),
    inverseVisits: gpu.keep(gpu.tensor(inverseVisits(n, rows))),
    forced: gpu.keep(gpu.tensor(forced)),
  }));
  return {
    rows,
    ...tensors,
    dispose() {
      for (const tensor of Object.values(tensors)) tensor.dispose();
    },
  };
}

/**
 * Attention that each token gets from the probes, summed over them and averaged over heads (section 4.1): it sums to the number of probes.
 *
 * @param q f32 [1, H, n, D], of a whole prompt, position embedding applied
 * @param keys [1, Hkv, M, D], whose first n rows are the prompt's
 * @param options Scale and changes of scores, as the model's own attention has them.
 * @returns f32 [n]
 */
export function probeScores(
  q: Tensor,
  keys: KeyRows,
  values: KeyRows,
  probes: Probes,
  options: Pick<AttentionOptions, 'scale' | 'scoreModifiers'> = {},
): Tensor {
  const n = q.shape[2] as number;
  const asked = gatherTokens(q, probes.positions);
  const mask = {
    kind: 'tokenRelation',
    relation: 'notLater',
    queries: probes.positions.reshape([1, -1]),
    keys: probes.numbers.reshape([1, n]),
  } as const;
  const where = { ...options, keyLength: n, mask };
  const { logSumExp } = attention(asked, keys, values, { ...where, returnLogSumExp: true });
  const { keyMass } = attentionStatistics(asked, keys, {
    ...where,
    logSumExp: logSumExp as Tensor,
    want: { keyMass: { per: 'allHeads' } },
  });
  return keyMass.reshape([-1]).slice(0, 0, n);
}

/** Accumulated attention as the mean over the probes that may see a token, f32 [n] (eq. 7). */
export function normalizedScores(accumulated: Tensor, probes: Pick<Probes, 'inverseVisits'>): Tensor {
  return multiply(accumulated, probes.inverseVisits);
}

/**
 * Marks the important tokens of a layer (eq. 6 and 8), u32 [n]: as many as it takes until the largest accumulated scores hold the share tau
 * of all, and those whose normalised scores are largest. How many they are is decided on the GPU and stays there.
 *
 * @param forced f32 [n], added before the choice: large for tokens that must be among them, in place of the weakest.
 */
export function importantTokens(accumulated: Tensor, normalized: Tensor, tau: number, forced?: Tensor): Tensor {
  const count = massCount(accumulated.reshape([1, -1]), tau);
  const ranks = forced ? add(normalized, forced) : normalized;
  return largestMask(ranks.reshape([1, -1]), count).reshape([-1]);
}

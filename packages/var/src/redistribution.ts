import {
  type AttentionOptions,
  attentionByKeySet,
  combineKeySets,
  type KeyRows,
  type KeySets,
  type Tensor,
} from '@saccade/core';
import { newMass } from './new-mass.ts';
import type { ResolvedVarOptions } from './options.ts';

/** What {@link redistribute} returns. */
export interface Redistributed {
  /** f32 [B, H, N, D] */
  readonly output: Tensor;
  /**
   * f32 [4, B, H, N]: what image tokens, visual sinks, other sinks and the other tokens got before. A row's visual mass is the sum of the
   * first two, its non-sink ratio the first divided by that sum.
   */
  readonly masses: Tensor;
}

/**
 * Attention whose image-centric rows move a part of what sinks get to the other image tokens (section 4). Their proportions among
 * themselves stay, and so does the sum of the row: the output over the image tokens alone only gets more weight, so that no
 * probability is written down. One pass over the keys.
 *
 * @param q [B, H, N, D]
 * @param keys [B, Hkv, M, D]
 * @param values as `keys`
 */
export function redistribute(
  q: Tensor,
  keys: KeyRows,
  values: KeyRows,
  options: Omit<AttentionOptions, 'returnLogSumExp' | 'returnRowMaximum' | 'givenProbabilities'> & {
    readonly keySets: KeySets;
  },
  { keep, minNonSinkRatio, minVisualMass }: Pick<ResolvedVarOptions, 'keep' | 'minNonSinkRatio' | 'minVisualMass'>,
): Redistributed {
  return q.gpu.tidy(() => {
    const partials = attentionByKeySet(q, keys, values, options);
    const { output, masses } = combineKeySets(partials, {
      numbers: { keep, minNonSinkRatio, minVisualMass },
      weights: newMass,
    });
    return { output, masses };
  });
}

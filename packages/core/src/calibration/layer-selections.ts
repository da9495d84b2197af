import { attention } from '../attention/attention.ts';
import type { HeadReduction } from '../attention/statistics/types.ts';
import { type TopKeys, topKeys } from '../attention/top-keys.ts';
import type { AttentionCall, AttentionContext } from '../protocol/contexts.ts';

/** How a layer picks the tokens that it would read. */
export interface SelectionRule {
  /** Tokens of a set, k. */
  readonly topK: number;
  /** Default: one set per query head. */
  readonly per?: HeadReduction;
  /** Newest and oldest tokens that every set holds, within k. Default 0. */
  readonly forceNewest?: number;
  readonly forceOldest?: number;
  /** By scores before the softmax (default), or by probabilities, which costs a dense attention. */
  readonly ranking?: 'score' | 'probability';
}

/** The set that a layer picks by itself for one decoded token: u32 [1, H | Hkv | 1, k]. For use in `attend`. */
export function ownSelection(
  { keyLength }: Pick<AttentionContext, 'keyLength'>,
  call: AttentionCall,
  rule: SelectionRule,
): TopKeys {
  const { topK, per = 'queryHead', forceNewest = 0, forceOldest = 0, ranking = 'score' } = rule;
  const { q, keys, values, options } = call;
  const { logSumExp } =
    ranking === 'probability'
      ? attention(q, keys, values, { ...options, returnLogSumExp: true })
      : { logSumExp: undefined };
  const where = { k: topK, keyLength, per, forceNewest, forceOldest };
  return topKeys(q, keys, logSumExp ? { ...where, logSumExp } : where);
}

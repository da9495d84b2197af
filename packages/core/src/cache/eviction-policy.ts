import { checkInteger } from '../attention/check-inputs.ts';
import { ArgumentError, ShapeError } from '../errors.ts';
import { contiguous } from '../ops/copy.ts';
import { topK } from '../ops/top-k.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { boostListed, protectRows, splitByHead } from './eviction-kernels.ts';
import type { KeptRows, PaddedRows } from './types.ts';

/** Rows that a head keeps on average, sinks and recent ones included: a number, or a share of the tokens seen, rounded up. */
export type EvictionBudget = number | { readonly ratio: number };

/** Which rows survive, given a score for each. */
export interface EvictionPolicy {
  readonly budget: EvictionBudget;
  /**
   * `head` (default): every head keeps its own best rows. `layer`: the heads of a layer share one budget, and those with
   * more high scores keep more rows (Ada-KV, arXiv 2407.11550, algorithm 1).
   */
  readonly per?: 'head' | 'layer';
  /**
   * With `layer`: the share of the budget that every head keeps for its own best rows. Default 0.2, the safeguard of Ada-KV;
   * there it mixes the budgets, here it is a lower bound.
   */
  readonly leastShare?: number;
  /** First tokens of the text that are always kept. Default 4. */
  readonly sinks?: number;
  /** Newest tokens that are always kept. Default 32. */
  readonly recent?: number;
}

/** A policy with all its defaults. */
export type ResolvedEvictionPolicy = Required<EvictionPolicy>;

/** Checks a policy and fills in its defaults. @throws ArgumentError */
export function resolveEvictionPolicy(policy: EvictionPolicy): ResolvedEvictionPolicy {
  const { budget, per = 'head', leastShare = 0.2, sinks = 4, recent = 32 } = policy;
  checkInteger('eviction: sinks', sinks, 0, 2 ** 31);
  checkInteger('eviction: recent', recent, 0, 2 ** 31);
  if (per !== 'head' && per !== 'layer') throw new ArgumentError('eviction: per', per, "'head', 'layer'");
  if (!(leastShare >= 0 && leastShare <= 1)) throw new ArgumentError('eviction: leastShare', leastShare, '0 to 1');
  if (typeof budget === 'number') checkInteger('eviction: budget', budget, Math.max(sinks + recent, 1), 2 ** 31);
  else if (!(budget?.ratio > 0 && budget.ratio <= 1)) {
    throw new ArgumentError('eviction: budget', budget, 'a number of tokens, or { ratio } over 0 and up to 1');
  }
  return { budget, per, leastShare, sinks, recent };
}

/** Rows that a head keeps on average when `seen` tokens were seen; never fewer than sinks and recent ones. */
function budgetOf({ budget, sinks, recent }: ResolvedEvictionPolicy, seen: number): number {
  if (typeof budget === 'number') return budget;
  return Math.max(Math.ceil(budget.ratio * seen), sinks + recent, 1);
}

/**
 * The rows that a policy keeps, decided on the GPU: nothing is read back. With `layer`, the heads' counts are known there only,
 * their sum on the host.
 *
 * @param scores f32 [B, Hkv, M or more]: higher is kept. No NaN.
 * @param rows As `LayerCache.padded` gives them.
 * @param seen Tokens that every sequence has seen.
 * @returns undefined where all rows fit. The caller disposes the tensors (or its scope does).
 * @throws ShapeError
 */
export function chooseRows(
  scores: Tensor,
  rows: Pick<PaddedRows, 'positions' | 'lengths'>,
  policy: ResolvedEvictionPolicy,
  seen: number,
): KeptRows | undefined {
  const { gpu } = scores;
  const [batch, kvHeads, length] = rows.positions.shape as [number, number, number];
  const [scoredBatch, scoredHeads, scored = 0] = scores.shape;
  if (
    scores.dtype !== 'f32' ||
    scores.rank !== 3 ||
    scoredBatch !== batch ||
    scoredHeads !== kvHeads ||
    scored < length
  ) {
    throw new ShapeError(
      'eviction',
      `scores are ${scores.dtype}[${scores.shape}]; they take f32 [${batch}, ${kvHeads}, ${length}] or longer.`,
    );
  }
  const budget = budgetOf(policy, seen);
  if (budget >= length) return undefined;
  const totals = new Array<number>(batch).fill(budget * kvHeads);
  return gpu.tidy(() => {
    const cut = contiguous(scores.slice(2, 0, length));
    const own = protectRows(cut, rows, policy.sinks, Math.max(seen - policy.recent, 0));
    const { lengths } = rows;
    if (policy.per === 'head') {
      const { indices, counts } = topK(own, budget, { lengths, order: 'index' });
      return { indices, counts, totals };
    }
    const least = Math.floor(policy.leastShare * budget);
    if (least > 0) boostListed(own, topK(own, least, { lengths, order: 'index' }).indices);
    const best = topK(own.reshape([batch, kvHeads * length]), budget * kvHeads, { order: 'index' }).indices;
    return { ...splitByHead(best, lengths, length), totals };
  });
}

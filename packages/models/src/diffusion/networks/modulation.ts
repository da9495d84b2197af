import { add, concatenate, layerNorm, multiply, scale, type Tensor } from '@saccade/core';
import type { NormWeights } from '../../architectures/transformer/weights.ts';

/** What a condition does to the norm of one stretch of each sample's tokens. [B, E] each, or [1, E] for all samples. */
export interface Modulation {
  readonly shift: Tensor;
  /** Added to 1. */
  readonly scale: Tensor;
  /** Tokens of each sample that it is for; stretches follow one another. */
  readonly tokens: number;
}

/** A factor [B, E] or [1, E] on one stretch of each sample's tokens. */
export type Gate = Pick<Modulation, 'tokens'> & { readonly gate: Tensor };

/** Layer norm of x [B N, E], times 1 + scale, plus shift: adaptive layer norm (Perez et al., 2018; Peebles and Xie, 2023). */
export function modulatedNorm(
  x: Tensor,
  { weight, bias }: NormWeights,
  epsilon: number,
  modulations: readonly Modulation[],
): Tensor {
  return byStretch(layerNorm(x, weight, bias, { epsilon }), modulations, (rows, modulation) =>
    add(multiply(rows, perSample(scale(modulation.scale, 1, 1))), perSample(modulation.shift)),
  );
}

/** A branch's output [B N, E] times its gates. */
export function gated(branch: Tensor, gates: readonly Gate[]): Tensor {
  return byStretch(branch, gates, (rows, { gate }) => multiply(rows, perSample(gate)));
}

/** Parts of equal width side by side in [B, parts E]: [B, E] each. */
export function chunks<Count extends 2 | 6>(x: Tensor, count: Count): ChunkTuple<Count> {
  const size = (x.shape[1] as number) / count;
  const parts = Array.from({ length: count }, (_, part) => x.slice(1, part * size, (part + 1) * size));
  return parts as unknown as ChunkTuple<Count>;
}

type Six = readonly [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor];
type ChunkTuple<Count extends 2 | 6> = Count extends 2 ? readonly [Tensor, Tensor] : Six;

/** Runs `work` on each stretch of tokens, [B, tokens, E], and puts the results together. */
function byStretch<Stretch extends { readonly tokens: number }>(
  x: Tensor,
  stretches: readonly Stretch[],
  work: (rows: Tensor, stretch: Stretch) => Tensor,
): Tensor {
  const perSampleTokens = stretches.reduce((sum, { tokens }) => sum + tokens, 0);
  const size = x.shape[1] as number;
  const samples = x.reshape([-1, perSampleTokens, size]);
  let end = 0;
  const parts = stretches.map((stretch) => {
    end += stretch.tokens;
    return work(samples.slice(1, end - stretch.tokens, end), stretch);
  });
  return (parts.length === 1 ? (parts[0] as Tensor) : concatenate(parts, 1)).reshape(x.shape);
}

/** [B, E] as [B, 1, E]. */
function perSample(x: Tensor): Tensor {
  const [batch, size] = x.shape as [number, number];
  return x.reshape([batch, 1, size]);
}

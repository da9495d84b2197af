import {
  add,
  contiguous,
  type Gpu,
  layerNorm,
  type MethodRun,
  multiply,
  scale,
  scaleRows,
  type Tensor,
} from '@saccade/core';
import type { NormWeights } from '../../architectures/transformer/weights.ts';

/** What a condition makes of a norm: [G, E] each, a row for each group of tokens. */
export interface Modulation {
  readonly shift: Tensor;
  /** Added to 1. */
  readonly scale: Tensor;
}

/** The group of each token of a pass: u32 [B N]; undefined where all are in one. */
export type RowGroups = Tensor | undefined;

/** Groups by sample: all tokens of a sample are in its own. */
export function sampleGroups(gpu: Gpu, batch: number, tokens: number): RowGroups {
  if (batch === 1) return undefined;
  const groups = Uint32Array.from({ length: batch * tokens }, (_, row) => Math.floor(row / tokens));
  return gpu.tensor(groups, [batch * tokens], 'u32');
}

/**
 * Layer norm of x [B N, E], times 1 + scale, plus shift: adaptive layer norm (Perez et al., 2018; Peebles and Xie, 2023).
 * @param own Weights of the norm itself, where it has some.
 */
export function modulatedNorm(
  x: Tensor,
  own: NormWeights | undefined,
  epsilon: number,
  modulation: Modulation,
  rowGroups: RowGroups,
): Tensor {
  const factor = scale(modulation.scale, 1, 1);
  const weight = own ? multiply(factor, own.weight) : factor;
  const bias = own?.bias ? add(multiply(factor, own.bias), modulation.shift) : modulation.shift;
  const size = x.shape[1] as number;
  return rowGroups
    ? layerNorm(x, weight, bias, { epsilon, rowGroups })
    : layerNorm(x, weight.reshape([size]), bias.reshape([size]), { epsilon });
}

/** Where a branch goes back into the residual stream. */
export interface BranchEnd {
  readonly run: MethodRun;
  /** Number of the block. */
  readonly index: number;
  readonly name: 'attention.output' | 'mlp.output';
  /** [G, E] */
  readonly gate: Tensor;
  readonly rowGroups: RowGroups;
}

/** x plus a branch times its gates, [B N, E]. */
export function addGated(x: Tensor, branch: Tensor, { run, index, name, gate, rowGroups }: BranchEnd): Tensor {
  if (!run.watches(index, name)) return scaleRows(branch, gate, { rowGroups, residual: x });
  return add(x, run.activation(index, name, scaleRows(branch, gate, { rowGroups })));
}

/**
 * What a projection of the condition holds side by side: for each sample and each stretch of its tokens `kinds` vectors.
 * @param x [B, stretches kinds E]
 * @returns `kinds` tensors [B stretches, E]
 */
export function modulations<Kinds extends 2 | 3 | 6>(x: Tensor, kinds: Kinds, stretches = 1): KindTuple<Kinds> {
  const [batch, width] = x.shape as [number, number];
  const size = width / (kinds * stretches);
  const groups = batch * stretches;
  const byKind = contiguous(x.reshape([groups, kinds, size]).transpose(1, 0, 2));
  const rows = Array.from({ length: kinds }, (_, kind) => byKind.slice(0, kind, kind + 1).reshape([groups, size]));
  return rows as unknown as KindTuple<Kinds>;
}

type Six = readonly [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor];
type KindTuple<Kinds extends 2 | 3 | 6> = Kinds extends 2
  ? readonly [Tensor, Tensor]
  : Kinds extends 3
    ? readonly [Tensor, Tensor, Tensor]
    : Six;

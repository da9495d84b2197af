import { type AttentionOptions, gatedActivation, multiply, type Qkv, sigmoid, type Tensor } from '@saccade/core';
import { outputGateRows, type TransformerConfig } from '../../weights/model-config.ts';
import { norm } from './norm.ts';
import { project } from './project.ts';
import type { LayerContext } from './transformer-layer.ts';

/** Attention of one layer over its input x [N, E], up to the output projection: [N, H D]. */
export function selfAttention(context: LayerContext, x: Tensor): Tensor {
  const { config, index, run, rotary } = context;
  const kind = config.layerKinds[index] ?? 'global';
  const { gate, queriesAndKeys, ...projected } = projectHeads(context, x);
  const { q, k, v } = run.beforeRope(index, projected, x);
  const rotate = (heads: Tensor) => (rotary ? rotary.rotate(heads, kind, run.rotary) : heads);
  // Methods that see queries and keys get them dense.
  const together = run.leavesHeads ? queriesAndKeys : undefined;
  const rotated = together && rotary ? splitHeads(rotate(together), config.heads) : { q: rotate(q), k: rotate(k) };
  const z = run.attention(index, { ...rotated, v }, x, attentionOptions(config, kind));
  return gate ? gateOutput(context, z, gate) : z;
}

/** Queries [N, H, D] and keys [N, Hkv, D] of both side by side [N, H + Hkv, D]. */
function splitHeads(heads: Tensor, queries: number): Pick<Qkv, 'q' | 'k'> {
  return { q: heads.slice(1, 0, queries), k: heads.slice(1, queries, heads.shape[1] as number) };
}

/** z [N, H D] times the sigmoid of the logits [N, rows of the gate]. */
function gateOutput({ config, index, run }: LayerContext, z: Tensor, logits: Tensor): Tensor {
  const shape = [z.shape[0] as number, config.heads, config.headSize];
  const [heads, gate] = [z.reshape(shape), logits.reshape([shape[0] as number, config.heads, -1])];
  const gated = run.watches(index, 'attention.gate')
    ? multiply(heads, run.activation(index, 'attention.gate', sigmoid(gate)))
    : gatedActivation(gate.broadcastTo(shape), heads, { activation: 'sigmoid' });
  return gated.reshape(z.shape);
}

/** Scale and mask of the model itself. */
function attentionOptions(config: TransformerConfig, kind: 'global' | 'window'): AttentionOptions {
  const { causal, attentionScale, slidingWindow } = config;
  return {
    causal,
    ...(attentionScale === undefined ? {} : { scale: attentionScale }),
    ...(kind === 'window' && slidingWindow !== undefined ? { slidingWindow } : {}),
  };
}

/** What a layer's input is projected to. */
interface ProjectedHeads extends Qkv {
  /** Logits of the output gate [N, rows]. */
  readonly gate?: Tensor;
  /** q and k [N, H + Hkv, D], where they are neighbours in one product: they rotate in one launch. */
  readonly queriesAndKeys?: Tensor;
}

/** Queries [N, H, D], keys and values [N, Hkv, D], normed, and the gate: parts of what is projected together. */
function projectHeads(context: LayerContext, x: Tensor): ProjectedHeads {
  const { config, weights } = context;
  const { heads, kvHeads, headSize } = config;
  const count = x.shape[0] as number;
  const projected = weights.qkv.map((projection) => project(x, projection));
  let [matrix, from] = [0, 0];
  const next = (rows: number) => {
    const own = projected[matrix] as Tensor;
    const part = own.slice(1, from, from + rows);
    from += rows;
    if (from === own.shape[1]) [matrix, from] = [matrix + 1, 0];
    return part;
  };
  const nextHeads = (size: number) => next(size * headSize).reshape([count, size, headSize]);
  const queries = nextHeads(heads);
  const gate = config.outputGate && next(outputGateRows(config));
  const [keys, values] = [nextHeads(kvHeads), nextHeads(kvHeads)];
  const { queryNorm, keyNorm } = weights;
  const [first] = projected as [Tensor];
  const rotating = (heads + kvHeads) * headSize;
  const neighbours = !gate && !queryNorm && !keyNorm && rotating <= (first.shape[1] as number);
  return {
    ...(neighbours ? { queriesAndKeys: first.slice(1, 0, rotating).reshape([count, heads + kvHeads, headSize]) } : {}),
    q: queryNorm ? norm(queries, queryNorm, config.norm) : queries,
    k: keyNorm ? norm(keys, keyNorm, config.norm) : keys,
    v: values,
    ...(gate ? { gate } : {}),
  };
}

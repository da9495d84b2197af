import type { AttentionOptions, Qkv, Tensor } from '@saccade/core';
import type { TransformerConfig } from '../../weights/model-config.ts';
import { norm } from './norm.ts';
import { project } from './project.ts';
import type { LayerContext } from './transformer-layer.ts';

/** Attention of one layer over its input x [N, E], up to the output projection: [N, H D]. */
export function selfAttention(context: LayerContext, x: Tensor): Tensor {
  const { config, index, run, rotary } = context;
  const kind = config.layerKinds[index] ?? 'global';
  const { q, k, v } = run.beforeRope(index, projectHeads(context, x), x);
  const rotate = (heads: Tensor) => (rotary ? rotary.rotate(heads, kind, run.positions) : heads);
  return run.attention(index, { q: rotate(q), k: rotate(k), v }, x, attentionOptions(config, kind));
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

/** Queries [N, H, D], keys and values [N, Hkv, D]: parts of the joint projection, or projected one by one; normed. */
function projectHeads(context: LayerContext, x: Tensor): Qkv {
  const { config, weights } = context;
  const { heads, kvHeads, headSize } = config;
  const count = x.shape[0] as number;
  const projected = weights.qkv.map((projection) => project(x, projection));
  let from = 0;
  const [queries, keys, values] = [heads, kvHeads, kvHeads].map((size, part) => {
    const first = from;
    from += size * headSize;
    const own = projected.length === 1 ? projected[0]?.slice(1, first, from) : projected[part];
    return (own as Tensor).reshape([count, size, headSize]);
  }) as [Tensor, Tensor, Tensor];
  const { queryNorm, keyNorm } = weights;
  return {
    q: queryNorm ? norm(queries, queryNorm, config.norm) : queries,
    k: keyNorm ? norm(keys, keyNorm, config.norm) : keys,
    v: values,
  };
}

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

/** Queries [N, H, D], keys and values [N, Hkv, D]: parts of what is projected together; normed. */
function projectHeads(context: LayerContext, x: Tensor): Qkv {
  const { config, weights } = context;
  const { heads, kvHeads, headSize } = config;
  const count = x.shape[0] as number;
  const projected = weights.qkv.map((projection) => project(x, projection));
  let [matrix, from] = [0, 0];
  const [queries, keys, values] = [heads, kvHeads, kvHeads].map((size) => {
    const own = projected[matrix] as Tensor;
    const first = from;
    from += size * headSize;
    const part = own.slice(1, first, from).reshape([count, size, headSize]);
    if (from === own.shape[1]) [matrix, from] = [matrix + 1, 0];
    return part;
  }) as [Tensor, Tensor, Tensor];
  const { queryNorm, keyNorm } = weights;
  return {
    q: queryNorm ? norm(queries, queryNorm, config.norm) : queries,
    k: keyNorm ? norm(keys, keyNorm, config.norm) : keys,
    v: values,
  };
}

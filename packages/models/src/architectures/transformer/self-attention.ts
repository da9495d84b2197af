import type { AttentionOptions, Tensor } from '@saccade/core';
import { norm } from './norm.ts';
import { project } from './project.ts';
import type { LayerContext } from './transformer-layer.ts';

/** Attention of one layer over its input x [N, E], up to the output projection: [N, H D]. */
export function selfAttention(context: LayerContext, x: Tensor): Tensor {
  const { config, index, cache, run, start, rotary } = context;
  const { heads, headSize } = config;
  const count = x.shape[0] as number;
  const kind = config.layerKinds[index] ?? 'global';
  const [queries, keys, v] = projectHeads(context, x);
  const q = rotary ? rotary.rotate(queries, kind, start) : queries;
  const k = rotary ? rotary.rotate(keys, kind, start) : keys;
  const layerCache = cache?.layer(index);
  layerCache?.append(headsFirst(k), headsFirst(v));
  const output = run.attend(index, start + count, {
    q: headsFirst(q),
    keys: layerCache?.keys ?? headsFirst(k),
    values: layerCache?.values ?? headsFirst(v),
    options: attentionOptions(context, kind, start + count),
  });
  return output.transpose(0, 2, 1, 3).reshape([count, heads * headSize]);
}

/** Scale, mask and lengths of the model itself. */
function attentionOptions({ config }: LayerContext, kind: 'global' | 'window', keyLength: number): AttentionOptions {
  const { causal, attentionScale, slidingWindow } = config;
  return {
    causal,
    keyLength,
    ...(attentionScale === undefined ? {} : { scale: attentionScale }),
    ...(kind === 'window' && slidingWindow !== undefined ? { slidingWindow } : {}),
  };
}

/** Queries [N, H, D], keys and values [N, Hkv, D]: parts of the joint projection, or projected one by one; normed. */
function projectHeads(context: LayerContext, x: Tensor): [queries: Tensor, keys: Tensor, values: Tensor] {
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
  return [
    queryNorm ? norm(queries, queryNorm, config.norm) : queries,
    keyNorm ? norm(keys, keyNorm, config.norm) : keys,
    values,
  ];
}

/** [N, heads, D] as [1, heads, N, D]. */
function headsFirst(x: Tensor): Tensor {
  return x.reshape([1, ...x.shape]).transpose(0, 2, 1, 3);
}

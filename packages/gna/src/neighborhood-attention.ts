import {
  ArgumentError,
  type AttentionPartial,
  attention,
  concatenate,
  contiguous,
  type Gpu,
  mergeAttention,
  ShapeError,
  type Tensor,
} from '@saccade/core';
import * as differentiable from '@saccade/core/autodiff';
import { NeighborhoodPlan, type NeighborhoodPlanOptions } from './plan.ts';

type Value = differentiable.Value;

export interface NeighborhoodAttentionOptions extends NeighborhoodPlanOptions {
  /** Factor on q k^T. Default 1 / sqrt(D). */
  readonly scale?: number;
  /** [B, M, Hkv, D], such as text tokens of a joint sequence: every query sees them besides. Both or neither. */
  readonly additionalKeys?: Tensor;
  readonly additionalValues?: Tensor;
  /** Whether these are looked at in the same pass (the default), or in one of their own that is merged by log-sum-exp. */
  readonly additionalPass?: 'same' | 'own';
  readonly returnLogSumExp?: boolean;
  /** For the counting proof: u32 [1], to which the kernel adds every (workgroup, key) row that it loads. Slower; tests only. */
  readonly keyRowCounter?: Tensor;
  /** Made for the same layout, batch and additional keys, and for these windows and tiles; otherwise made for this call. */
  readonly plan?: NeighborhoodPlan;
}

export interface NeighborhoodAttentionResult {
  /** f32 [B, X1, ..., Xr, H, D] */
  readonly output: Tensor;
  /** f32 [B, X1, ..., Xr, H]: natural log of the sum of exp(score), additional keys included. */
  readonly logSumExp?: Tensor;
}

/** Sizes of a call. */
interface Sizes {
  readonly batches: number;
  readonly layout: readonly number[];
  readonly heads: number;
  readonly headSize: number;
  readonly additional: number;
}

/** [B, X1, ..., Xr, H, D] as [B, H, N, D]. */
function headsFirst<V extends Value>(x: V): V {
  const [heads, headSize] = x.shape.slice(-2) as [number, number];
  const flat = x.reshape([x.shape[0] as number, product(x.shape.slice(1, -2)), heads, headSize]);
  return flat.transpose(0, 2, 1, 3) as V;
}

const product = (values: readonly number[]) => values.reduce((total, value) => total * value, 1);

/** @throws ShapeError, ArgumentError */
function sizesOf(
  q: Value,
  k: Value,
  v: Value,
  additionalKeys: Value | undefined,
  additionalValues: Value | undefined,
): Sizes {
  const rank = q.shape.length - 3;
  if (rank < 1 || rank > 3) {
    throw new ShapeError('neighborhoodAttention', `q is [${q.shape}]; it takes [B, X1, ..., Xr, H, D], r from 1 to 3.`);
  }
  const [batches, heads, headSize] = [q.shape[0], ...q.shape.slice(-2)] as [number, number, number];
  const layout = q.shape.slice(1, -2);
  for (const [name, x] of Object.entries({ k, v })) {
    const [own, kvHeads] = [x.shape.slice(0, -2), x.shape.at(-2) as number];
    const fits = x.shape.length === q.shape.length && own.every((size, axis) => size === q.shape[axis]);
    if (!fits || x.shape.at(-1) !== headSize || kvHeads < 1 || heads % kvHeads !== 0) {
      const wanted = `[${[batches, ...layout]}, Hkv, ${headSize}], with ${heads} a multiple of Hkv`;
      throw new ShapeError('neighborhoodAttention', `${name} is [${x.shape}]; it takes ${wanted}.`);
    }
  }
  if ((additionalKeys === undefined) !== (additionalValues === undefined)) {
    const missing = additionalKeys ? 'additionalValues' : 'additionalKeys';
    throw new ArgumentError(missing, undefined, 'additional keys and values, or neither');
  }
  for (const [name, x] of Object.entries({ additionalKeys, additionalValues })) {
    if (!x) continue;
    const wanted = [batches, additionalKeys?.shape[1] as number, k.shape.at(-2) as number, headSize];
    if (x.shape.length !== 4 || x.shape.some((size, axis) => size !== wanted[axis])) {
      throw new ShapeError('neighborhoodAttention', `${name} is [${x.shape}]; it takes [${wanted}].`);
    }
  }
  return { batches, layout, heads, headSize, additional: additionalKeys?.shape[1] ?? 0 };
}

/** @throws ArgumentError for a plan of another layout, batch or number of additional keys */
function checkPlan(plan: NeighborhoodPlan, { batches, layout }: Sizes, otherKeys: number): void {
  const described = (own: readonly number[], samples: number, queries: number, keys: number) =>
    `one for ${samples} x [${own}] with ${queries} other queries and ${keys} other keys`;
  const made = described(plan.layout, plan.batches, plan.otherQueries, plan.otherKeys);
  const needed = described(layout, batches, 0, otherKeys);
  if (made !== needed) throw new ArgumentError('plan', made, needed);
}

/** Runs `work` with the plan of a call: the given one, or one of its own. */
function withPlan<T>(
  gpu: Gpu,
  sizes: Sizes,
  otherKeys: number,
  options: NeighborhoodAttentionOptions,
  work: (plan: NeighborhoodPlan) => T,
): T {
  if (options.plan) {
    checkPlan(options.plan, sizes, otherKeys);
    return work(options.plan);
  }
  const { layout, batches } = sizes;
  const own = new NeighborhoodPlan(gpu, { layout, batches, otherKeys }, options);
  try {
    return work(own);
  } finally {
    own.dispose();
  }
}

/**
 * Attention of each token over its neighbourhood on a grid (Generalized Neighborhood Attention, arXiv 2504.16922): tiles of queries visit only the
 * tiles of keys that they see. Tokens stay where they are; tables of the plan say which stand in a tile.
 *
 * @param q f32 or f16 [B, X1, ..., Xr, H, D], r from 1 to 3 axes, slowest first
 * @param k f32 or f16 [B, X1, ..., Xr, Hkv, D]; query head h reads key/value head floor(h Hkv / H)
 * @param v as `k`
 * @throws ShapeError where shapes do not fit; ArgumentError for windows, strides, dilations or tiles that do not fit the layout
 */
export function neighborhoodAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: NeighborhoodAttentionOptions,
): NeighborhoodAttentionResult {
  const { gpu } = q;
  const { additionalKeys, additionalValues, additionalPass = 'same', returnLogSumExp = false, keyRowCounter } = options;
  const sizes = sizesOf(q, k, v, additionalKeys, additionalValues);
  if (additionalPass !== 'same' && additionalPass !== 'own') {
    throw new ArgumentError('additionalPass', additionalPass, "'same', 'own'");
  }
  const apart = additionalPass === 'own' && additionalKeys !== undefined;
  const common = {
    ...(options.scale === undefined ? {} : { scale: options.scale }),
    ...(keyRowCounter ? { keyRowCounter } : {}),
  };
  return gpu.tidy(() =>
    withPlan(gpu, sizes, apart ? 0 : sizes.additional, options, (plan) => {
      const [queries, keys, values] = [headsFirst(q), headsFirst(k), headsFirst(v)];
      const all = (x: Tensor, more: Tensor | undefined) => (more && !apart ? concatenate([x, headsFirst(more)], 2) : x);
      let result: Partial<AttentionPartial> = attention(
        queries,
        all(keys, additionalKeys),
        all(values, additionalValues),
        { ...plan.where, ...plan.tables, ...common, returnLogSumExp: returnLogSumExp || apart },
      );
      if (apart) {
        const others = attention(queries, headsFirst(additionalKeys), headsFirst(additionalValues as Tensor), {
          ...{ ...common, returnLogSumExp: true },
        });
        result = mergeAttention([result as AttentionPartial, others as AttentionPartial]);
      }
      const { batches, layout, heads, headSize } = sizes;
      const output = tokensFirst(result.output as Tensor).reshape([batches, ...layout, heads, headSize]);
      if (!returnLogSumExp || !result.logSumExp) return { output };
      const lse = result.logSumExp.reshape([batches, heads, product(layout), 1]);
      return { output, logSumExp: tokensFirst(lse).reshape([batches, ...layout, heads]) };
    }),
  );
}

/** [B, H, N, D] as dense [B, N, H, D]. */
function tokensFirst(x: Tensor): Tensor {
  return contiguous(x.transpose(0, 2, 1, 3));
}

/** What a differentiable call takes beside its plan. */
export interface DifferentiableNeighborhoodOptions extends Pick<NeighborhoodAttentionOptions, 'scale'> {
  /** [B, M, Hkv, D]: every query sees them besides. Both or neither. */
  readonly additionalKeys?: Value;
  readonly additionalValues?: Value;
}

/**
 * The output of {@link neighborhoodAttention} with gradients by queries, keys and values, additional ones included: the same tiles, forward and
 * backward. Here tokens are copied in the order of tiles, and gradients back.
 *
 * @param plan lives until the backward pass is over; make it once per layout
 * @returns f32 [B, X1, ..., Xr, H, D]
 * @throws as {@link neighborhoodAttention}
 */
export function differentiableNeighborhoodAttention(
  q: Value,
  k: Value,
  v: Value,
  plan: NeighborhoodPlan,
  options: DifferentiableNeighborhoodOptions = {},
): Value {
  const { scale, additionalKeys, additionalValues } = options;
  const sizes = sizesOf(q, k, v, additionalKeys, additionalValues);
  checkPlan(plan, sizes, sizes.additional);
  const ordered = (x: Value, more: Value | undefined) => {
    const all = more ? differentiable.concatenate([headsFirst(x), headsFirst(more)], 2) : headsFirst(x);
    return plan.keyOrder ? differentiable.tokenPermute(all, plan.keyOrder) : all;
  };
  const queries = plan.queryOrder ? differentiable.tokenPermute(headsFirst(q), plan.queryOrder) : headsFirst(q);
  const output = differentiable.attention(queries, ordered(k, additionalKeys), ordered(v, additionalValues), {
    ...plan.where,
    ...(scale === undefined ? {} : { scale }),
  });
  const back = plan.queryOrder ? differentiable.tokenUnpermute(output, plan.queryOrder) : output;
  const { batches, layout, heads, headSize } = sizes;
  return back.transpose(0, 2, 1, 3).reshape([batches, ...layout, heads, headSize]);
}

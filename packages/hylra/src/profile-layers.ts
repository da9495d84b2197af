import {
  ArgumentError,
  attention,
  type CalibrationOptions,
  type CalibrationQuery,
  calibrationQueries,
  klDivergence,
  type LayerOverlap,
  type Method,
  MethodRun,
  type ModelHandle,
  OverlapSums,
  ownSelection,
  type SelectionRule,
  type Tensor,
} from '@saccade/core';
import { average, clippedMean, massCoverage } from './mass-coverage.ts';

/** What the search for a policy needs to know of a model. Arrays count global layers, L. */
export interface LayerProfile extends LayerOverlap {
  /** [L]: relative error of a layer's attention output when it reads only its own top-k: sqrt(sum (O - O')^2 / sum O^2). */
  readonly rnmse: Float32Array;
  /** [L]: KL divergence, in nats, of next-token distributions when only that layer reads its own top-k. Absent if not asked for. */
  readonly divergence?: Float32Array;
  /** [L]: share of key blocks that hold 90% of a key/value head's probability mass (the public code's measure). */
  readonly massRatio90: Float32Array;
}

/** What {@link profileLayers} takes. */
export interface ProfileOptions extends CalibrationOptions, Partial<SelectionRule> {
  /** Default 256. */
  readonly topK?: number;
  /** Whether divergences are measured, which takes L further passes per query. Default true. */
  readonly divergence?: boolean;
  /** Keys of a block for `massRatio90`. Default 32. */
  readonly blockSize?: number;
}

/** Measures of one decoded token. */
interface Sample {
  readonly rnmse: readonly number[];
  readonly divergence: readonly number[];
  readonly massRatio: readonly number[];
}

/**
 * Profiles a model for HyLRA (paper, profiling): overlaps of the layers' own sets and each layer's sensitivity to reading
 * only its own. Every text but its last tokens runs densely; those are decoded one by one. With progress and a signal.
 *
 * @param texts Token ids, each of more than `topK` tokens; use the lengths that the model will work at.
 * @throws ArgumentError
 */
export async function profileLayers(
  model: ModelHandle,
  texts: readonly (readonly number[])[],
  options: ProfileOptions = {},
): Promise<LayerProfile> {
  const { topK = 256, divergence = true, blockSize = 32, onProgress, ...rest } = options;
  if (!(Number.isInteger(blockSize) && blockSize >= 1))
    throw new ArgumentError('blockSize', blockSize, 'an integer of 1 or more');
  const { queries, signal, ...given } = rest;
  const rule = { per: 'allHeads', forceNewest: 1, ...given, topK } as const;
  const walk = { ...(queries === undefined ? {} : { queries }), ...(signal ? { signal } : {}) };
  const layers = model.facts.layerKinds.filter((kind) => kind === 'global').length;
  const sums = new OverlapSums(layers, topK);
  const samples: Sample[] = [];
  const hooks = { leastTokens: topK, ...(onProgress ? { onProgress } : {}) };
  for await (const query of calibrationQueries(model, texts, { ...walk, ...hooks })) {
    const divergences = divergence ? await layerDivergences(model, query, rule, layers, signal) : [];
    const { sets, ...measured } = await denseStep(model, query, rule, blockSize);
    sums.add(sets);
    samples.push({ ...measured, divergence: divergences });
  }
  const perLayer = (of: (sample: Sample, layer: number) => number, join = average) =>
    Float32Array.from({ length: layers }, (_, layer) => join(samples.map((sample) => of(sample, layer))));
  return {
    ...sums.result(),
    rnmse: perLayer(({ rnmse }, layer) => rnmse[layer] as number),
    ...(divergence ? { divergence: perLayer((sample, layer) => sample.divergence[layer] as number) } : {}),
    massRatio90: perLayer(({ massRatio }, layer) => massRatio[layer] as number, clippedMean),
  };
}

/** All layers' own sets, errors of their outputs under these, and how their mass spreads, in one dense step that appends the token. */
async function denseStep(
  model: ModelHandle,
  { prompt, token }: CalibrationQuery,
  rule: SelectionRule,
  blockSize: number,
): Promise<Omit<Sample, 'divergence'> & { readonly sets: Uint32Array[] }> {
  const kept: Tensor[] = [];
  const keyLength = prompt.kv.length + 1;
  const observer: Method = {
    name: 'hylra-profile',
    options: {},
    phases: ['decode'],
    needs: ({ globalLayer }) => (globalLayer < 0 ? undefined : { keyMass: { per: 'kvHead' } }),
    attend(context, call, next) {
      const result = next();
      if (context.globalLayer < 0) return result;
      const tokens = ownSelection(context, call, rule);
      const own = attention(call.q, call.keys, call.values, { ...call.options, tokens }).output;
      const { keyMass } = result.statistics ?? {};
      for (const tensor of [result.output, own, keyMass as Tensor, tokens.indices])
        kept.push(context.gpu.keep(tensor.alias()));
      return result;
    },
  };
  const run = await MethodRun.start(model, observer);
  run.phase = 'decode';
  try {
    model.forward([token], { cache: prompt.kv, run, logits: 'none' }).hidden.dispose();
    const data = await model.gpu.read(kept);
    const layers = data.length / 4;
    const at = (layer: number, which: 0 | 1 | 2) => data[4 * layer + which] as Float32Array;
    const all = Array.from({ length: layers }, (_, layer) => layer);
    return {
      sets: all.map((layer) => data[4 * layer + 3] as Uint32Array),
      rnmse: all.map((layer) => relativeError(at(layer, 0), at(layer, 1))),
      massRatio: all.map((layer) => coverage(at(layer, 2), model.facts.kvHeads, keyLength, blockSize)),
    };
  } finally {
    for (const tensor of kept) tensor.dispose();
    run.dispose();
  }
}

/** KL divergence of the next token to dense, for each layer reading only its own set, all others dense. */
async function layerDivergences(
  model: ModelHandle,
  { prompt, token }: CalibrationQuery,
  rule: SelectionRule,
  layers: number,
  signal: AbortSignal | undefined,
): Promise<number[]> {
  const logitsUnder = async (sparse: number): Promise<Float32Array> => {
    const method: Method = {
      name: 'hylra-one-layer',
      options: {},
      phases: ['decode'],
      attend: (context, call, next) =>
        next(context.globalLayer === sparse ? { tokens: ownSelection(context, call, rule) } : undefined),
    };
    const run = await MethodRun.start(model, method);
    const fork = prompt.fork();
    run.phase = 'decode';
    try {
      const { hidden, logits } = model.forward([token], { cache: fork.kv, run });
      hidden.dispose();
      const row = (await logits?.read()) as Float32Array;
      logits?.dispose();
      return row;
    } finally {
      fork.dispose();
      run.dispose();
    }
  };
  const dense = await logitsUnder(-1);
  const divergences: number[] = [];
  for (let layer = 0; layer < layers; layer++) {
    signal?.throwIfAborted();
    divergences.push(klDivergence(dense, await logitsUnder(layer)));
  }
  return divergences;
}

function relativeError(exact: Float32Array, approximate: Float32Array): number {
  let error = 0;
  let norm = 0;
  exact.forEach((value, index) => {
    error += (value - (approximate[index] as number)) ** 2;
    norm += value ** 2;
  });
  return Math.sqrt(error / norm);
}

/** Mean over heads of the share of key blocks that hold 90% of the mass. */
function coverage(mass: Float32Array, heads: number, keyLength: number, blockSize: number): number {
  const capacity = mass.length / heads;
  return average(
    Array.from({ length: heads }, (_, head) =>
      massCoverage(mass.subarray(head * capacity, head * capacity + keyLength), blockSize),
    ),
  );
}

import {
  ArgumentError,
  type KvCache,
  type Method,
  MethodRun,
  type ModelHandle,
  type RunOptions,
  type Tensor,
  topKeys,
} from '@saccade/core';

/** How alike the layers' own selections are: the ground on which TidalDecode stands. */
export interface LayerOverlap {
  /** Global layers, L. */
  readonly layers: number;
  readonly topK: number;
  /** Queries that were looked at: decode steps times heads. */
  readonly samples: number;
  /** [L, L] row-major: mean of |S_i ∩ S_j| / k, where S_l is the top-k set of a head in layer l. */
  readonly overlap: Float32Array;
}

export interface LayerOverlapOptions extends RunOptions {
  /** Size of the selections, k. Default 256. */
  readonly topK?: number;
  /** Tokens at the end of each text that are decoded one by one and looked at. Default 4. */
  readonly queries?: number;
}

/**
 * Profiles a model on texts: runs each but its last tokens densely, decodes those, and compares the top-k sets of all
 * pairs of layers, head by head. The paper calibrates on long inputs; eight texts of 1,024 tokens settle the order here.
 */
export async function layerOverlap(
  model: ModelHandle,
  texts: readonly (readonly number[])[],
  options: LayerOverlapOptions = {},
): Promise<LayerOverlap> {
  const { topK = 256, queries = 4 } = options;
  if (!(Number.isInteger(topK) && topK >= 1)) throw new ArgumentError('topK', topK, 'an integer of 1 or more');
  if (!(Number.isInteger(queries) && queries >= 1))
    throw new ArgumentError('queries', queries, 'an integer of 1 or more');
  if (texts.length === 0 || texts.some((text) => text.length <= Math.max(topK, queries))) {
    throw new ArgumentError(
      'texts',
      texts.map((text) => text.length),
      `at least one text, each of more than ${Math.max(topK, queries)} tokens`,
    );
  }
  const layers = model.facts.layerKinds.filter((kind) => kind === 'global').length;
  const sums = new Float64Array(layers * layers);
  let samples = 0;
  for (const [index, text] of texts.entries()) {
    const split = text.length - queries;
    const prompt = await model.prefill(text.slice(0, split), { reserve: queries, signal: options.signal });
    try {
      for (let at = split; at < text.length; at++) {
        options.signal?.throwIfAborted();
        const sets = await ownSelections(model, prompt.kv, text[at] as number, topK);
        addOverlaps(sums, sets, topK, model.facts.heads);
        samples += model.facts.heads;
        options.onProgress?.((index + (at - split + 1) / queries) / texts.length);
      }
    } finally {
      prompt.dispose();
    }
  }
  return { layers, topK, samples, overlap: Float32Array.from(sums, (sum) => sum / samples) };
}

/**
 * Share of each sparse layer's own top-k that the selection handed to it contains, averaged over the sparse layers: the
 * recall of the paper's figure on re-selection.
 */
export function expectedRecall(
  profile: LayerOverlap,
  sparseLayerStart: number,
  reselectionLayers: readonly number[],
): number {
  const selecting = new Set([sparseLayerStart, ...reselectionLayers]);
  let current = sparseLayerStart;
  let sum = 0;
  let count = 0;
  for (let layer = sparseLayerStart + 1; layer < profile.layers; layer++) {
    if (selecting.has(layer)) current = layer;
    else {
      sum += profile.overlap[current * profile.layers + layer] as number;
      count++;
    }
  }
  return count === 0 ? 1 : sum / count;
}

/** One admissible choice of the re-selection layer and its expected recall. */
export interface ReselectionCandidate {
  readonly layer: number;
  readonly recall: number;
}

/** All admissible single re-selection layers, the one with the highest expected recall first. */
export function rankReselectionLayers(profile: LayerOverlap, sparseLayerStart = 2): ReselectionCandidate[] {
  const candidates: ReselectionCandidate[] = [];
  for (let layer = sparseLayerStart + 1; layer < profile.layers; layer++) {
    candidates.push({ layer, recall: expectedRecall(profile, sparseLayerStart, [layer]) });
  }
  return candidates.sort((a, b) => b.recall - a.recall || a.layer - b.layer);
}

/** Top-k sets of every head in every global layer for one decoded token: one [H, k] array per layer. One readback. */
async function ownSelections(model: ModelHandle, cache: KvCache, token: number, topK: number): Promise<Uint32Array[]> {
  const selections: Tensor[] = [];
  const observer: Method = {
    name: 'layer-overlap',
    options: { topK },
    phases: ['decode'],
    attend(context, call, next) {
      if (context.globalLayer >= 0) {
        const { indices } = topKeys(call.q, call.keys, { k: topK, keyLength: context.keyLength, per: 'queryHead' });
        selections.push(context.gpu.keep(indices));
      }
      return next();
    },
  };
  const run = await MethodRun.start(model, observer);
  run.phase = 'decode';
  try {
    model.forward([token], { cache, run, logits: 'none' }).hidden.dispose();
    return (await model.gpu.read(selections)) as Uint32Array[];
  } finally {
    for (const tensor of selections) tensor.dispose();
    run.dispose();
  }
}

/** Adds |S_i ∩ S_j| / k of every head to the [L, L] sums. */
function addOverlaps(sums: Float64Array, sets: readonly Uint32Array[], topK: number, heads: number): void {
  for (let head = 0; head < heads; head++) {
    const perLayer = sets.map((indices) => new Set(indices.subarray(head * topK, (head + 1) * topK)));
    perLayer.forEach((own, i) => {
      perLayer.forEach((other, j) => {
        let common = 0;
        for (const position of own) if (other.has(position)) common++;
        sums[i * perLayer.length + j] = (sums[i * perLayer.length + j] as number) + common / topK;
      });
    });
  }
}

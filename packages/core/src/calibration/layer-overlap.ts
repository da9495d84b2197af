import type { KvCache } from '../cache/kv-cache.ts';
import { ArgumentError } from '../errors.ts';
import type { Method } from '../protocol/method.ts';
import { MethodRun } from '../protocol/method-run.ts';
import type { ModelHandle } from '../protocol/model-handle.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { type CalibrationOptions, calibrationQueries } from './calibration-queries.ts';
import { ownSelection, type SelectionRule } from './layer-selections.ts';
import { type LayerOverlap, OverlapSums } from './overlap-sums.ts';

/** What {@link layerOverlap} takes. */
export interface LayerOverlapOptions extends CalibrationOptions, Partial<SelectionRule> {
  /** Default 256. */
  readonly topK?: number;
  /** Methods under which the tokens are decoded (the text before them stays dense): overlap as it is at run time. */
  readonly method?: Method | readonly Method[];
}

/**
 * Profiles a model on texts: runs each but its last tokens densely, decodes those, and compares the top-k sets of all
 * pairs of layers. Eight texts of 1,024 tokens settle the order of layers in a small model.
 *
 * @param texts Token ids, each of more than `topK` tokens.
 * @throws ArgumentError
 */
export async function layerOverlap(
  model: ModelHandle,
  texts: readonly (readonly number[])[],
  options: LayerOverlapOptions = {},
): Promise<LayerOverlap> {
  const { topK = 256, queries, signal, onProgress, method = [], ...rule } = options;
  if (!(Number.isInteger(topK) && topK >= 1)) throw new ArgumentError('topK', topK, 'an integer of 1 or more');
  const layers = model.facts.layerKinds.filter((kind) => kind === 'global').length;
  const sums = new OverlapSums(layers, topK);
  const walk = { leastTokens: topK, ...(queries === undefined ? {} : { queries }) };
  const hooks = { ...(signal ? { signal } : {}), ...(onProgress ? { onProgress } : {}) };
  for await (const { prompt, token } of calibrationQueries(model, texts, { ...walk, ...hooks })) {
    sums.add(await selections(model, prompt.kv, token, { ...rule, topK }, method));
  }
  return sums.result();
}

/** Own sets of every global layer for one decoded token: one [sets, k] array per layer. One readback. */
async function selections(
  model: ModelHandle,
  cache: KvCache,
  token: number,
  rule: SelectionRule,
  method: Method | readonly Method[],
): Promise<Uint32Array[]> {
  const found: Tensor[] = [];
  const observer: Method = {
    name: 'layer-overlap',
    options: { ...rule },
    phases: ['decode'],
    attend(context, call, next) {
      if (context.globalLayer >= 0) found.push(context.gpu.keep(ownSelection(context, call, rule).indices));
      return next();
    },
  };
  const run = await MethodRun.start(model, [observer, ...[method].flat()]);
  run.phase = 'decode';
  try {
    model.forward([token], { cache, run, logits: 'none' }).hidden.dispose();
    return (await model.gpu.read(found)) as Uint32Array[];
  } finally {
    for (const tensor of found) tensor.dispose();
    run.dispose();
  }
}

import {
  type AttentionCall,
  type AttentionContext,
  attentionProbabilities,
  gather,
  type ImageGrid,
  type ImagePrompt,
  type Method,
  type ModelHandle,
  mean,
  type Tensor,
} from '@saccade/core';

/** Attention over the tokens of an image, by generated token and layer. */
export interface AttentionMaps {
  readonly rows: number;
  readonly columns: number;
  readonly layers: readonly number[];
  /** [T][layers.length], f32 [rows * columns] each: means over heads, as shares of all attention. */
  readonly steps: readonly (readonly Float32Array[])[];
}

interface RecordOptions {
  /** Ascending, with attention over the whole context. */
  readonly layers: readonly number[];
  readonly maxTokens: number;
  /** Record the first generated token alone. */
  readonly firstOnly?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Answers greedily, and tells where the newest token looked in the first image each time the next one was chosen. Maps stay on
 * the GPU until the end and are read at once.
 *
 * @throws RefusedError for a model or a prompt without images
 */
export async function recordAttention(
  model: ModelHandle,
  prompt: ImagePrompt,
  { layers, maxTokens, firstOnly = false, signal }: RecordOptions,
): Promise<{ text: string; maps: AttentionMaps }> {
  const { gpu } = model;
  const kept: Tensor[] = [];
  let grid: ImageGrid | undefined;
  let positions: Tensor | undefined;

  const record = (context: AttentionContext, call: AttentionCall): void => {
    grid ??= context.spans?.images[0];
    if (!grid) return;
    positions ??= gpu.keep(gpu.tensor(grid.positions, [grid.positions.length], 'u32'));
    const places = positions;
    kept.push(gpu.keep(gpu.tidy(() => gather(lastRow(context, call), places))));
  };
  const method: Method = {
    name: 'carve',
    options: {},
    phases: ['prefill', 'decode'],
    requires: { direction: 'causal', globalLayers: 1, spans: ['image'], wholeCache: true },
    attend(context, call, next) {
      const wanted = context.phase === 'decode' ? !firstOnly : context.endsPrompt;
      if (wanted && context.sequence === 0 && layers.includes(context.layer)) record(context, call);
      return next();
    },
  };
  try {
    let text = '';
    for await (const piece of model.generate(prompt, { method, maxTokens, signal })) text += piece.text;
    const maps = (await gpu.read(kept)) as Float32Array[];
    const { rows, columns } = grid as ImageGrid;
    const steps = Array.from({ length: maps.length / layers.length }, (_, step) =>
      maps.slice(step * layers.length, (step + 1) * layers.length),
    );
    return { text, maps: { rows, columns, layers, steps } };
  } finally {
    for (const tensor of kept) tensor.dispose();
    positions?.dispose();
  }
}

/** f32 [keys, 1]: what the newest query gives to each key, as a mean over heads. */
function lastRow({ seen, queryLength, keyLength }: AttentionContext, { q, keys, options }: AttentionCall): Tensor {
  const {
    returnLogSumExp: _lse,
    returnRowMaximum: _maximum,
    givenProbabilities: _given,
    queryLength: _queries,
    blocks: _blocks,
    keyMultipliers: _multipliers,
    normalizer: _normalizer,
    plan: _plan,
    ...where
  } = options;
  const last = q.slice(2, queryLength - 1, queryLength);
  const probabilities = attentionProbabilities(last, keys, { ...where, keyLength, queryOffset: seen - 1 });
  return mean(probabilities, { axis: 1 }).reshape([probabilities.shape[3] as number, 1]);
}

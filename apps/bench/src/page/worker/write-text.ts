import { type ModelHandle, summarizeTimings } from '@saccade/core';
import { type LanguageModel, VisionLanguageModel } from '@saccade/models';
import { DensityMeter } from '../../measure/density.ts';
import { AttentionRecorder } from './attention-recorder.ts';
import { methodPrompt } from './prompt.ts';
import type { Side, SideResult } from './side.ts';

/** A language model continues a prompt, timed; then once more, watched, where attention is asked for. */
export async function writeText(
  side: Side<LanguageModel>,
  dense: readonly number[] | undefined,
): Promise<SideResult<readonly number[]>> {
  const { model, request, variant, signal, report } = side;
  const { gpu } = model;
  const prompt = methodPrompt(model, request);
  const options = { maxTokens: request.tokens, seed: request.seed, ignoreEndOfText: false, signal };
  const method = variant.create();
  const ids: number[] = [];
  const times: number[] = [];
  await warmUp(side);
  gpu.resetPeak();
  const begin = performance.now();
  let before = begin;
  for await (const piece of model.generate(prompt, { ...options, method })) {
    const now = performance.now();
    times.push(now - before);
    before = now;
    ids.push(...piece.ids);
    report({ type: 'text', side: side.side, text: piece.text, append: true });
  }
  const { peakBytes } = gpu.stats();
  const [first = 0, ...others] = times;
  const meter = new DensityMeter();
  if (request.attention) await watch(side, meter);
  return {
    result: ids,
    measured: {
      samples: ids.length,
      density: meter.density,
      quality: dense ? { agreement: agreement(ids, dense) } : {},
      speed: {
        firstTokenMs: summarizeTimings([first]),
        ...(others.length > 0 ? { decodeMsPerToken: summarizeTimings(others) } : {}),
      },
      memory: { peakBytes },
    },
  };
}

/** Has the kernels compiled: a prefill and two decode steps, of which the second reads what the first one wrote. */
async function warmUp({ model, request, variant, signal }: Side<LanguageModel>): Promise<void> {
  const options = { maxTokens: 3, seed: request.seed, signal, method: variant.create() };
  for await (const _ of model.generate(methodPrompt(model, request), options));
}

/** The same generation, with every token's attention recorded and keys counted. */
async function watch(side: Side<LanguageModel>, meter: DensityMeter): Promise<void> {
  const { model, request, variant, signal, report } = side;
  const recorder = new AttentionRecorder(['prefill', 'decode'], (queries) => queries - 1);
  const encoded = await model.encode(methodPrompt(model, request));
  try {
    const image = model instanceof VisionLanguageModel ? encoded.spans?.images[0] : undefined;
    const { rows, columns, positions } = image ?? { rows: 0, columns: 0, positions: [] };
    const texts = tokenTexts(model, encoded.ids);
    report({
      type: 'keys',
      side: side.side,
      keys: image ? { kind: 'grid', rows, columns, positions } : { kind: 'tokens', texts },
    });
    const method = [...meter.behind(variant.create()), recorder.method];
    const options = { maxTokens: request.tokens, seed: request.seed, ignoreEndOfText: false, signal };
    const written: string[] = [];
    for await (const piece of model.generate(encoded, { ...options, method })) {
      written.push(...tokenTexts(model, piece.ids));
      for (const step of await recorder.take(model.gpu, (seen) => `token ${seen - encoded.ids.length + 1}`))
        report({ type: 'attention', side: side.side, step });
    }
    if (!image) report({ type: 'keys', side: side.side, keys: { kind: 'tokens', texts: [...texts, ...written] } });
  } finally {
    recorder.dispose();
    encoded.dispose();
  }
}

/** Each token by itself; parts of a character show as such. */
export function tokenTexts({ tokenizer }: Pick<ModelHandle, 'tokenizer'>, ids: readonly number[]): string[] {
  return ids.map((id) => tokenizer.decode([id]));
}

/** Share of the dense run's tokens that stand at the same place. */
export function agreement(ids: readonly number[], dense: readonly number[]): number {
  return dense.length === 0 ? 1 : dense.filter((id, at) => id === ids[at]).length / dense.length;
}

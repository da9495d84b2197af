import { summarizeTimings } from '@saccade/core';
import type { MaskedDiffusionModel } from '@saccade/models';
import { DenoisingDensity } from '../../measure/denoising-density.ts';
import { AttentionRecorder } from './attention-recorder.ts';
import type { Side, SideResult } from './side.ts';
import { agreement, tokenTexts } from './write-text.ts';

/** What stands for a token that is not written yet. */
const hidden = '\u2591';

/** A masked-diffusion model fills in the continuation of a prompt, shown step by step and watched; then once more, timed. */
export async function fillText(
  side: Side<MaskedDiffusionModel>,
  dense: readonly number[] | undefined,
): Promise<SideResult<readonly number[]>> {
  const { model, request, variant, signal, report } = side;
  const { gpu } = model;
  const steps = Math.min(request.steps, request.tokens);
  const settings = { length: request.tokens, steps, seed: request.seed, signal };
  const promptTokens = model.encodePrompt(request.prompt).length;
  const meter = new DenoisingDensity();
  const recorder = new AttentionRecorder(['denoise'], () => promptTokens);
  const show = (ids: ArrayLike<number>) =>
    Array.from(ids, (id) => (id === model.maskId ? hidden : model.tokenizer.decode([id])));
  let latest: readonly string[] = [];
  try {
    const method = [...meter.around(variant.create()), ...(request.attention ? [recorder.method] : [])];
    await model.denoise(request.prompt, {
      ...settings,
      method,
      onStep: ({ ids }) => {
        latest = show(ids);
        report({ type: 'text', side: side.side, text: latest.slice(promptTokens).join(''), append: false });
      },
    });
    const taken = await recorder.take(gpu, (step) => `step ${step + 1}`);
    report({ type: 'keys', side: side.side, keys: { kind: 'tokens', texts: latest } });
    for (const step of taken) report({ type: 'attention', side: side.side, step });
  } finally {
    recorder.dispose();
  }
  gpu.resetPeak();
  const begin = performance.now();
  const { ids } = await model.denoise(request.prompt, { ...settings, method: variant.create() });
  const total = performance.now() - begin;
  report({ type: 'text', side: side.side, text: tokenTexts(model, ids).join(''), append: false });
  return {
    result: ids,
    measured: {
      samples: ids.length,
      density: await meter.density(gpu),
      quality: dense ? { agreement: agreement(ids, dense) } : {},
      speed: { stepMs: summarizeTimings([total / steps]), sampleMs: summarizeTimings([total]) },
      memory: { peakBytes: gpu.stats().peakBytes },
    },
  };
}

import { add, concatenate, type Gpu, MethodRun, scale, subtract, type Tensor, unmaskTokens } from '@saccade/core';
import type { Architecture } from '../architectures/architecture.ts';
import type { MaskedDiffusionModel } from './masked-diffusion-model.ts';
import type { DenoiseOptions, DenoisingSettings } from './options.ts';
import { proposeTokens } from './proposals.ts';
import { type UnmaskingStep, unmaskingSteps } from './schedule.ts';

/** What the steps of one run share. */
interface Denoising {
  readonly model: MaskedDiffusionModel;
  readonly network: Architecture;
  readonly run: MethodRun;
  readonly settings: DenoisingSettings;
  /** Tokens of the prompt. */
  readonly promptTokens: number;
  /** The prompt masked, u32 [promptTokens], where there is guidance and a prompt. */
  readonly hiddenPrompt: Tensor | undefined;
  /** f32 [V], 0 but for the mask, which is never written. */
  readonly forbidden: Tensor;
}

/**
 * Fills in masked tokens behind a prompt. All tokens run in every step, without a cache; all that is chosen is chosen on the GPU, and
 * only the ids are read: at the end, and after each step where somebody asks.
 *
 * @returns ids of the whole sequence
 */
export async function denoise(
  model: MaskedDiffusionModel,
  network: Architecture,
  prompt: readonly number[],
  settings: DenoisingSettings,
  options: DenoiseOptions,
): Promise<Uint32Array> {
  const { gpu, maskId } = model;
  const steps = unmaskingSteps(settings);
  const run = await MethodRun.start(model.withSteps(steps.length), options.method, options);
  const held: Tensor[] = [];
  const hold = (tensor: Tensor) => {
    held.push(tensor);
    return tensor;
  };
  const masks = new Array<number>(settings.length).fill(maskId);
  const size = prompt.length + masks.length;
  let ids = gpu.tensor([...prompt, ...masks], [size], 'u32');
  try {
    const guided = settings.guidance > 0 && prompt.length > 0;
    const denoising: Denoising = {
      model,
      network,
      run,
      settings,
      promptTokens: prompt.length,
      hiddenPrompt: guided ? hold(maskedPrompt(gpu, maskId, prompt.length)) : undefined,
      forbidden: hold(forbiddenToken(gpu, maskId, model.facts.vocabularySize)),
    };
    for (const [index, step] of steps.entries()) {
      options.signal?.throwIfAborted();
      const place = { index, count: steps.length, stage: 0, promptTokens: prompt.length };
      if (index > 0) await run.step({ phase: 'denoise', gpu, model, step: place, sample: ids });
      run.denoisingStep = place;
      const next = gpu.keep(gpu.tidy(() => takeStep(denoising, ids, step, index)));
      ids.dispose();
      ids = next;
      // Waiting bounds the queue, so that progress and aborts mean something.
      if (options.onStep) options.onStep({ index, count: steps.length, ids: (await ids.read()) as Uint32Array });
      else await gpu.synchronize();
      options.onProgress?.((index + 1) / steps.length);
    }
    return (await ids.read()) as Uint32Array;
  } finally {
    ids.dispose();
    for (const tensor of held) tensor.dispose();
    run.dispose();
  }
}

/** One step: the ids with the tokens that it writes. */
function takeStep(denoising: Denoising, ids: Tensor, step: UnmaskingStep, index: number): Tensor {
  const { model, settings, promptTokens } = denoising;
  const first = promptTokens + step.start;
  const { tokens, confidence } = proposeTokens(blockLogits(denoising, ids, first), settings, index);
  return unmaskTokens(ids, tokens, confidence, {
    maskId: model.maskId,
    start: first,
    ...(step.count === undefined ? { threshold: -step.chance } : { count: step.count }),
  });
}

/** Logits of the tokens of one block, f32 [blockLength, V]: the rows of all others are never projected. */
function blockLogits(denoising: Denoising, ids: Tensor, first: number): Tensor {
  const { model, network, run, settings, hiddenPrompt, promptTokens, forbidden } = denoising;
  const start = model.logitsOf === 'next' ? first - 1 : first;
  const of = (hidden: Tensor, from: number) => network.logits(hidden.slice(0, from, from + settings.blockLength));
  const size = ids.size;
  const batch = hiddenPrompt ? 2 : 1;
  const all = hiddenPrompt ? concatenate([ids, hiddenPrompt, ids.slice(0, promptTokens, size)]) : ids;
  return run.pass([{ cache: undefined, count: batch * size, batch }], () => {
    const hidden = network.forward({ ids: all }, run);
    const own = of(hidden, start);
    const logits = hiddenPrompt ? guide(own, of(hidden, size + start), settings.guidance) : own;
    return add(run.processLogits(run.activation(-1, 'logits', logits)), forbidden);
  });
}

/** (1 + w) conditional - w unconditional. */
function guide(conditional: Tensor, unconditional: Tensor, weight: number): Tensor {
  return add(unconditional, scale(subtract(conditional, unconditional), 1 + weight));
}

function maskedPrompt(gpu: Gpu, maskId: number, count: number): Tensor {
  return gpu.tensor(new Uint32Array(count).fill(maskId), [count], 'u32');
}

function forbiddenToken(gpu: Gpu, id: number, vocabulary: number): Tensor {
  const scores = new Float32Array(vocabulary);
  scores[id] = -1e38;
  return gpu.tensor(scores, [vocabulary]);
}

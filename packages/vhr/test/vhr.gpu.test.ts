import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Method, OptionError, type RawImage, RefusedError } from '@saccade/core';
import { assertClose, parseGoldenTensors, sharedGpu } from '@saccade/core/testing';
import { loadVisionLanguageModel, type VisionLanguageModel } from '@saccade/models';
import { beforeAll, describe, expect, it } from 'vitest';
import { type VhrOptions, type VhrState, visionAwareHeadReinforcement } from '../src/index.ts';

/* A random LLaVA of three layers: it shows that the parts fit. */
const folder = fileURLToPath(new URL('../../models/test/golden/llava', import.meta.url));
const everywhere = [0, 1, 2];

let model: VisionLanguageModel;
let images: RawImage[];
beforeAll(async () => {
  const tensors = parseGoldenTensors(readFileSync(`${folder}/golden.safetensors`));
  images = [0, 1].map((index) => {
    const { shape, data } = tensors(`image_${index}`);
    const [height = 0, width = 0] = shape;
    return { height, width, channels: 3, data: Uint8Array.from(data) };
  });
  model = await loadVisionLanguageModel(await sharedGpu(), folder, { sources: ['local'] });
  return () => model.dispose();
});

async function answer(method?: Method, count = 1): Promise<{ ids: number[]; logprobs: number[] }> {
  const told = { ids: [] as number[], logprobs: [] as number[] };
  const options = { method, maxTokens: 4, ignoreEndOfText: true, logprobs: 0 };
  for await (const { ids, logprobs } of model.generate(
    { text: 'What is it?', images: images.slice(0, count) },
    options,
  )) {
    told.ids.push(...ids);
    if (logprobs) told.logprobs.push(logprobs.logprob);
  }
  return told;
}

/** Divergences by layer, and the heads that are reinforced, as a run chose them. */
async function chosen(options: VhrOptions) {
  let seen: Promise<{ divergences: (Float32Array | undefined)[]; heads: number[][] }> | undefined;
  const method = visionAwareHeadReinforcement(options);
  const watched: Method<VhrState> = {
    ...method,
    step({ state }) {
      seen ??= (async () => ({
        divergences: await Promise.all(
          everywhere.map((layer) => state.divergences[layer]?.read() as Promise<Float32Array>),
        ),
        heads: await Promise.all(everywhere.map((layer) => state.heads(layer))),
      }))();
      return seen.then(() => undefined);
    },
  };
  const told = await answer(watched);
  if (!seen) throw new Error('no step was seen');
  return { ...(await seen), told };
}

describe('check 1', () => {
  it('a factor of 1 gives the plain model in every step', async () => {
    const plain = await answer();
    const same = await answer(visionAwareHeadReinforcement({ alpha: 1, layers: everywhere }));
    expect(same.ids).toEqual(plain.ids);
    assertClose(same.logprobs, plain.logprobs, { absolute: 1e-6 });
  });

  it('no layers do, too', async () => {
    const plain = await answer();
    const same = await answer(visionAwareHeadReinforcement({ layers: [] }));
    expect(same.ids).toEqual(plain.ids);
    assertClose(same.logprobs, plain.logprobs, { absolute: 1e-6 });
  });

  it('a factor of 2 changes the answer’s probabilities', async () => {
    const [plain, changed] = [
      await answer(undefined, 2),
      await answer(visionAwareHeadReinforcement({ layers: everywhere }), 2),
    ];
    expect(Math.abs((changed.logprobs[0] as number) - (plain.logprobs[0] as number))).toBeGreaterThan(1e-6);
  });
});

it('check 6: later layers compare what earlier ones have reinforced', async () => {
  const [reinforced, plain] = [
    await chosen({ layers: everywhere, alpha: 3 }),
    await chosen({ layers: everywhere, alpha: 1 }),
  ];
  assertClose(reinforced.divergences[0] as Float32Array, plain.divergences[0] as Float32Array, { relative: 1e-5 });
  for (const layer of [1, 2]) {
    const pairs = Array.from(reinforced.divergences[layer] as Float32Array, (own, head) =>
      Math.abs(own - (plain.divergences[layer]?.[head] as number)),
    );
    expect(Math.max(...pairs)).toBeGreaterThan(1e-4);
  }
});

it('check 3: half of the heads of each layer at most, unless there are outliers', async () => {
  const { heads } = await chosen({ layers: everywhere, removeOutliers: false });
  for (const layer of everywhere) expect(heads[layer]).toHaveLength(model.facts.heads / 2);
});

it('leaves nothing behind', async () => {
  const method = () => visionAwareHeadReinforcement({ layers: everywhere });
  await answer(method());
  const live = model.gpu.stats().liveBytes;
  await answer(method());
  expect(model.gpu.stats().liveBytes).toBe(live);
});

describe('refuses', () => {
  it('prompts without an image', async () => {
    const run = async () => {
      for await (const _ of model.generate('Hm?', { method: visionAwareHeadReinforcement(), maxTokens: 1 }));
    };
    await expect(run()).rejects.toThrow(RefusedError);
  });

  it('to go on behind a prompt that ran without it', async () => {
    const prompt = await model.prefill({ text: 'What is it?', images: images.slice(0, 1) });
    const run = async () => {
      for await (const _ of model.generate(prompt, { method: visionAwareHeadReinforcement(), maxTokens: 2 }));
    };
    await expect(run()).rejects.toThrow(RefusedError);
    prompt.dispose();
  });

  it('layers that the model does not have', async () => {
    await expect(answer(visionAwareHeadReinforcement({ layers: [7] }))).rejects.toThrow(OptionError);
  });
});

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  contiguous,
  EncodedPrompt,
  type Method,
  OptionError,
  type RawImage,
  RefusedError,
  type Tensor,
} from '@saccade/core';
import { assertClose, parseGoldenTensors, sharedGpu } from '@saccade/core/testing';
import { loadVisionLanguageModel, type VisionLanguageModel } from '@saccade/models';
import { visionAwareHeadReinforcement } from '@saccade/vhr';
import { beforeAll, describe, expect, it } from 'vitest';
import { type GiftOptions, type GiftParts, type GiftState, gift } from '../src/index.ts';

/* A random LLaVA of three layers: it shows that the parts fit. */
const folder = fileURLToPath(new URL('../../models/test/golden/llava', import.meta.url));
const text = 'What is it?';

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

async function answer(method?: Method | readonly Method[], count = 1) {
  const told = { ids: [] as number[], logprobs: [] as number[] };
  const options = { method, maxTokens: 4, ignoreEndOfText: true, logprobs: 0 };
  for await (const { ids, logprobs } of model.generate({ text, images: images.slice(0, count) }, options)) {
    told.ids.push(...ids);
    if (logprobs) told.logprobs.push(logprobs.logprob);
  }
  return told;
}

/** The factors on image tokens that a run found. */
async function multipliersOf(options: GiftOptions, parts?: GiftParts): Promise<number[]> {
  let seen: Promise<Float32Array> | undefined;
  const watched: Method<GiftState> = {
    ...gift(options, parts),
    async step({ state }) {
      seen ??= state.multipliers?.read() as Promise<Float32Array>;
      await seen;
    },
  };
  await answer(watched);
  if (!seen) throw new Error('no step was seen');
  return Array.from(await seen);
}

/** Outputs of one layer's heads in the prompt, by row. */
async function headOutputs(method: Method | undefined, layer: number) {
  let held: Tensor | undefined;
  const encoded = await model.encode({ text, images: images.slice(0, 1) });
  const observe = {
    [`blocks.${layer}.attention.z`]: (x: Tensor) => {
      held = model.gpu.keep(x.alias());
    },
  };
  (await model.prefill(encoded, { method, observe })).dispose();
  encoded.dispose();
  if (!held) throw new Error('nothing was seen');
  const numbers = await held.read();
  const end = numbers.length - (held.shape[1] as number) * (held.shape[2] as number);
  held.dispose();
  return { earlier: numbers.slice(0, end), last: numbers.slice(end) };
}

describe('check 1', () => {
  it('an alpha of 0 gives the plain model in every step, but for the order of sums', async () => {
    const plain = await answer();
    const same = await answer(gift({ alpha: 0 }));
    expect(same.ids).toEqual(plain.ids);
    assertClose(same.logprobs, plain.logprobs, { absolute: 1e-5 });
  });

  it('no layers give it to the bit', async () => {
    expect(await answer(gift({ enhanceLayers: [] }))).toEqual(await answer());
  });

  it('others change probabilities, from the first token on', async () => {
    const [plain, changed] = [await answer(undefined, 2), await answer(gift(), 2)];
    for (const index of [0, 1])
      expect(Math.abs((changed.logprobs[index] as number) - (plain.logprobs[index] as number))).toBeGreaterThan(1e-5);
  });
});

it('check 2: in the prompt only the last row of an enhanced layer changes', async () => {
  const [plain, changed] = [await headOutputs(undefined, 2), await headOutputs(gift({ enhanceLayers: [2] }), 2)];
  expect(changed.earlier).toEqual(plain.earlier);
  expect(changed.last).not.toEqual(plain.last);
});

it('check 6: steps over a cache give what the whole text gives without one, where no later layer reads what changed', async () => {
  const method = () => gift({ saliencyLayers: [1], enhanceLayers: [2] });
  const stepped = await answer(method());
  const encoded = await model.encode({ text, images: images.slice(0, 1) });
  const ids = [...encoded.ids];
  for (const [index, id] of stepped.ids.entries()) {
    const whole = new EncodedPrompt(ids, {
      ...encoded.facts,
      ...(encoded.features ? { features: encoded.features } : {}),
    });
    const cache = await model.prefill(whole, { method: method() });
    const logits = Array.from(await cache.nextLogits.read());
    cache.dispose();
    const total = Math.log(logits.reduce((sum, x) => sum + Math.exp(x), 0));
    expect(logits.indexOf(Math.max(...logits))).toBe(id);
    assertClose([(logits[id] as number) - total], [stepped.logprobs[index] as number], { absolute: 1e-4 });
    ids.push(id);
  }
  encoded.dispose();
});

it('who looks at its probabilities sees the last row as it weighs values, and changes nothing', async () => {
  const z = async (observe: Record<string, (x: Tensor) => void>) => {
    const kept = new Map<string, Tensor>();
    const encoded = await model.encode({ text, images: images.slice(0, 1) });
    const keep = (kind: string) => (x: Tensor) => void kept.set(kind, model.gpu.keep(contiguous(x)));
    const kinds = ['blocks.2.attention.z', 'blocks.2.attention.v', ...Object.keys(observe)];
    const own = Object.fromEntries(kinds.map((kind) => [kind, keep(kind)]));
    const method = gift({ saliencyLayers: [1], enhanceLayers: [2] });
    (await model.prefill(encoded, { method, observe: own })).dispose();
    encoded.dispose();
    const tensors = kinds.map((kind) => kept.get(kind) as Tensor);
    const data = await model.gpu.read(tensors);
    for (const tensor of tensors) tensor.dispose();
    return { data: data as Float32Array[], shapes: tensors.map(({ shape }) => shape) };
  };
  const unseen = await z({});
  const { data, shapes } = await z({ 'blocks.2.attention.pattern': () => undefined });
  const [outputs, values, pattern] = data as [Float32Array, Float32Array, Float32Array];
  assertClose(outputs, unseen.data[0] as Float32Array, { absolute: 1e-6 });
  const [count, heads, size] = shapes[0] as [number, number, number];
  const kvHeads = shapes[1]?.[1] as number;
  // The pattern times the values is the output, in every row and head: in the enhanced one as well.
  const weighted = Float64Array.from(outputs, (_, at) => {
    const [query, head, d] = [Math.floor(at / (heads * size)), Math.floor(at / size) % heads, at % size];
    const kv = Math.floor((head * kvHeads) / heads);
    let total = 0;
    for (let key = 0; key < count; key++) {
      const probability = pattern[(query * heads + head) * count + key] as number;
      total += probability * (values[(key * kvHeads + kv) * size + d] as number);
    }
    return total;
  });
  assertClose(outputs, weighted, { absolute: 1e-4 });
});

describe('the analysis', () => {
  it('in a pass of its own finds what the one pass finds', async () => {
    const one = await multipliersOf({ saliencyLayers: [1], enhanceLayers: [2] });
    const own = await multipliersOf({ saliencyLayers: [1], enhanceLayers: [0, 1, 2] });
    expect(Math.max(...one)).toBeCloseTo(Math.exp(5), 2);
    expect(Math.min(...one)).toBeCloseTo(1, 5);
    assertClose(own, one, { relative: 1e-4 });
  });

  it('joins layers, and reads the informative words alone', async () => {
    const [first, both] = [
      await multipliersOf({ saliencyLayers: [0], enhanceLayers: [2] }),
      await multipliersOf({ saliencyLayers: [0, 1], enhanceLayers: [2] }),
    ];
    expect(both).not.toEqual(first);
    const seen: string[] = [];
    const informative = (question: string) => {
      seen.push(question);
      return [[5, 7]] as const;
    };
    const some = await multipliersOf({ saliencyLayers: [0], enhanceLayers: [2] }, { informative });
    expect(seen).toEqual([text]);
    expect(some).not.toEqual(first);
  });
});

describe('beside VHR, which runs the prompt without its image as well', () => {
  const layers = [0, 1, 2];

  it.each([
    ['one pass', { saliencyLayers: [1], enhanceLayers: [2] }],
    ['a pass of its own', { saliencyLayers: [1], enhanceLayers: [0, 1, 2] }],
  ])('changes what VHR without effect leaves: %s', async (_, options) => {
    const alone = await answer(gift(options));
    const beside = await answer([gift(options), visionAwareHeadReinforcement({ alpha: 1, layers })]);
    expect(beside.ids).toEqual(alone.ids);
    assertClose(beside.logprobs, alone.logprobs, { absolute: 1e-5 });
  });

  it('both act', async () => {
    const options = { saliencyLayers: [1], enhanceLayers: [2] };
    const [one, other, both] = [
      await answer(gift(options)),
      await answer(visionAwareHeadReinforcement({ layers })),
      await answer([gift(options), visionAwareHeadReinforcement({ layers })]),
    ];
    for (const single of [one, other])
      expect(Math.abs((both.logprobs[0] as number) - (single.logprobs[0] as number))).toBeGreaterThan(1e-6);
  });
});

it('leaves nothing behind', async () => {
  const make = () => gift({ saliencyLayers: [1, 2], enhanceLayers: [0, 2] });
  await answer(make());
  const live = model.gpu.stats().liveBytes;
  await answer(make());
  expect(model.gpu.stats().liveBytes).toBe(live);
});

describe('refuses', () => {
  it.each([
    ['one pass', gift()],
    ['a pass of its own', gift({ saliencyLayers: [2], enhanceLayers: [1] })],
  ])('prompts without an image: %s', async (_, method) => {
    const run = async () => {
      for await (const _ of model.generate('Hm?', { method, maxTokens: 1 }));
    };
    await expect(run()).rejects.toThrow(RefusedError);
  });

  it('to go on behind a prompt that ran without it', async () => {
    const prompt = await model.prefill({ text, images: images.slice(0, 1) });
    const run = async () => {
      for await (const _ of model.generate(prompt, { method: gift(), maxTokens: 2 }));
    };
    await expect(run()).rejects.toThrow(RefusedError);
    prompt.dispose();
  });

  it.each([{ saliencyLayers: [7] }, { enhanceLayers: [3] }, { saliencyLayers: [] }])('layers %j', async (options) => {
    await expect(answer(gift(options))).rejects.toThrow(OptionError);
  });
});

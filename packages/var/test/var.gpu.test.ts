import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  contiguous,
  imagePositions,
  type Method,
  OptionError,
  type RawImage,
  RefusedError,
  type Tensor,
} from '@saccade/core';
import { assertClose, parseGoldenTensors, randomArray, sharedGpu } from '@saccade/core/testing';
import { loadVisionLanguageModel, type VisionLanguageModel } from '@saccade/models';
import { randomLlama } from '@saccade/models/testing';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { findSinkDimensions, type VarOptions, visualAttentionRedistribution } from '../src/index.ts';
import { redistributeReference, sinkScoreReference } from '../src/reference.ts';
import type { VarState } from '../src/state.ts';

/* A random LLaVA of three layers: it shows that the parts fit, not that sinks are meaningful. */
const folder = fileURLToPath(new URL('../../models/test/golden/llava', import.meta.url));
const everywhere: VarOptions = {
  firstLayer: 1,
  skipLastLayer: false,
  threshold: 1.5,
  minVisualMass: 0,
  minNonSinkRatio: 0,
};
const from = { text: 'What is it?', maxTokens: 4 };

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

/** Log-probabilities of the tokens that follow, with ids. */
async function answer(method: Method | undefined, count = 1) {
  const told: { id: number; logprob: number }[] = [];
  const options = { method, maxTokens: from.maxTokens, ignoreEndOfText: true, logprobs: 0 };
  for await (const { ids, logprobs } of model.generate({ text: from.text, images: images.slice(0, count) }, options)) {
    if (logprobs) told.push({ id: ids[0] as number, logprob: logprobs.logprob });
  }
  return told;
}

/** Outputs of one layer's attention in the prompt, [N, H, D]. */
async function headOutputs(method: Method | undefined, layer: number) {
  let held: Tensor | undefined;
  const encoded = await model.encode({ text: from.text, images: images.slice(0, 1) });
  const name = `blocks.${layer}.attention.z`;
  const observe = {
    [name]: (x: Tensor) => {
      held = model.gpu.keep(x.alias());
    },
  };
  (await model.prefill(encoded, { method, observe })).dispose();
  const end = encoded.spans?.images[0]?.end ?? 0;
  encoded.dispose();
  if (!held) throw new Error('nothing was seen');
  const { shape } = held;
  const numbers = await held.read();
  held.dispose();
  return { numbers, rowSize: (shape[1] as number) * (shape[2] as number), end };
}

describe('check 1', () => {
  it('sinks that keep everything give the plain model', async () => {
    const [plain, kept] = [
      await answer(undefined),
      await answer(visualAttentionRedistribution({ ...everywhere, keep: 1 })),
    ];
    expect(kept.map(({ id }) => id)).toEqual(plain.map(({ id }) => id));
    assertClose(
      kept.map(({ logprob }) => logprob),
      plain.map(({ logprob }) => logprob),
      { absolute: 1e-5 },
    );
  });

  it('so does a threshold that nothing reaches, and others change it', async () => {
    const plain = await answer(undefined);
    const warned = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
    const none = await answer(visualAttentionRedistribution({ ...everywhere, threshold: 1e9 }));
    warned.mockRestore();
    assertClose(
      none.map(({ logprob }) => logprob),
      plain.map(({ logprob }) => logprob),
      { absolute: 1e-5 },
    );
    const changed = await answer(visualAttentionRedistribution({ ...everywhere, keep: 0 }), 2);
    const plainOfTwo = await answer(undefined, 2);
    expect(Math.abs((changed[0]?.logprob ?? 0) - (plainOfTwo[0]?.logprob ?? 0))).toBeGreaterThan(1e-6);
  });
});

it('check 5: rows before the end of the image are the same to the bit in the first changed layer, later ones are not', async () => {
  const plain = await headOutputs(undefined, 1);
  const changed = await headOutputs(visualAttentionRedistribution({ ...everywhere, keep: 0 }), 1);
  const until = plain.end * plain.rowSize;
  expect(until).toBeGreaterThan(0);
  expect(changed.numbers.subarray(0, until)).toEqual(plain.numbers.subarray(0, until));
  expect(changed.numbers.subarray(until)).not.toEqual(plain.numbers.subarray(until));
});

describe('who looks at its probabilities', () => {
  const options = { ...everywhere, keep: 0.3, sinkDimensions: [3, 17] };

  /** Tensors [N, ...] of layer 1, the first that changes, in the prompt. */
  async function seen(kinds: readonly string[], method: Method | undefined, more = {}) {
    const kept = new Map<string, Tensor>();
    const encoded = await model.encode({ text: from.text, images: images.slice(0, 1) });
    const observe = Object.fromEntries(
      kinds.map((kind) => [kind, (x: Tensor) => void kept.set(kind, model.gpu.keep(contiguous(x)))]),
    );
    (await model.prefill(encoded, { method, observe: { ...observe, ...more } })).dispose();
    const tensors = kinds.map((kind) => kept.get(kind) as Tensor);
    const data = await model.gpu.read(tensors);
    const found = tensors.map(({ shape }, index) => {
      const [rows, ...rest] = shape as [number, ...number[]];
      const size = rest.reduce((product, count) => product * count, 1);
      return Array.from({ length: rows }, (_, row) =>
        Array.from(data[index]?.subarray(row * size, (row + 1) * size) ?? []),
      );
    });
    for (const tensor of tensors) tensor.dispose();
    const spans = encoded.spans?.images ?? [];
    encoded.dispose();
    return { found, image: new Set(spans.flatMap(imagePositions)), end: spans[0]?.end ?? 0 };
  }

  it('sees them as redistribution leaves them: the reference’s, in rows behind the image', async () => {
    const pattern = 'blocks.1.attention.pattern';
    const plain = await seen([pattern, 'blocks.1.residual.pre'], undefined);
    const changed = await seen([pattern], visualAttentionRedistribution(options));
    const [rows, residuals] = plain.found as [number[][], number[][]];
    const sinks = residuals.map((residual) => sinkScoreReference(residual, options.sinkDimensions) > 1.5);
    expect(sinks.filter(Boolean).length).toBeGreaterThan(0);
    let different = 0;
    for (const [query, all] of rows.entries()) {
      const own = changed.found[0]?.[query] as number[];
      if (query < plain.end) expect(own).toEqual(all);
      else {
        const expected = Array.from({ length: all.length / rows.length }, (_, head) => {
          const row = all.slice(head * rows.length, (head + 1) * rows.length);
          const image = row.map((__, key) => plain.image.has(key));
          return redistributeReference(row, image, sinks, { keep: 0.3, minNonSinkRatio: 0, minVisualMass: 0 });
        });
        assertClose(own, expected.flat(), { absolute: 1e-5 });
        different += own.filter((x, at) => Math.abs(x - (all[at] as number)) > 1e-4).length;
      }
    }
    expect(different).toBeGreaterThan(0);
  });

  it('changes nothing by looking', async () => {
    const method = () => visualAttentionRedistribution(options);
    const z = ['blocks.2.attention.z'];
    const unseen = await seen(z, method());
    const looked = await seen(z, method(), { 'blocks.*.attention.pattern': () => undefined });
    assertClose(looked.found.flat(2), unseen.found.flat(2), { absolute: 1e-5 });
  });
});

it('layers before the first and the last stay; states tell the sinks of each layer and are freed', async () => {
  const gpu = model.gpu;
  const states: VarState[] = [];
  const make = () => {
    const method = visualAttentionRedistribution({ firstLayer: 1, threshold: 1.5 });
    const { createState } = method;
    return {
      ...method,
      async createState(...given: Parameters<NonNullable<typeof createState>>) {
        const state = (await createState?.(...given)) as VarState;
        states.push(state);
        return state;
      },
    };
  };
  await answer(make());
  const live = gpu.stats().liveBytes;
  await answer(make());
  expect(gpu.stats().liveBytes).toBe(live);
  const [state] = states;
  expect(state?.dimensions).toHaveLength(2);
  expect([0, 1, 2].map((layer) => state?.scores[layer] !== undefined)).toEqual([false, true, false]);
});

it('dimensions are found where the first token is extreme in the middle', async () => {
  const found = await findSinkDimensions(model, 3);
  expect(new Set(found).size).toBe(3);
  expect([...found].sort((a, b) => a - b)).toEqual(found);
  // Two dimensions in which every token is large.
  const planted = new Map([
    [9, 40],
    [50, -30],
  ]);
  const edit = (name: string, [rows = 0, columns = 0]: readonly number[]) => {
    if (name !== 'model.embed_tokens.weight') return undefined;
    const values = randomArray(rows * columns, 5);
    return values.map((value, at) => planted.get(at % columns) ?? value);
  };
  const llama = await randomLlama(await sharedGpu(), { layers: 3 }, { edit });
  expect(await findSinkDimensions(llama)).toEqual([9, 50]);
  llama.dispose();
});

it('says that a threshold cannot be reached', async () => {
  const warned = vi.spyOn(console, 'warn').mockImplementation(() => undefined);
  await answer(visualAttentionRedistribution({ threshold: 5 }));
  expect(warned).not.toHaveBeenCalled();
  await answer(visualAttentionRedistribution({ threshold: 20 }));
  expect(warned).toHaveBeenCalledExactlyOnceWith(expect.stringMatching(/threshold of 20 .*hidden size of 64 .*8\.0/));
  warned.mockRestore();
});

describe('refuses', () => {
  it('prompts without an image', async () => {
    const run = async () => {
      for await (const _ of model.generate('Hm?', { method: visualAttentionRedistribution(), maxTokens: 1 }));
    };
    await expect(run()).rejects.toThrow(RefusedError);
  });

  it('to go on behind a prompt that ran without it', async () => {
    const prompt = await model.prefill({ text: from.text, images: images.slice(0, 1) });
    const run = async () => {
      for await (const _ of model.generate(prompt, {
        method: visualAttentionRedistribution(everywhere),
        maxTokens: 2,
      }));
    };
    await expect(run()).rejects.toThrow(RefusedError);
    prompt.dispose();
  });

  it('dimensions that the model does not have', async () => {
    const method = visualAttentionRedistribution({ sinkDimensions: [1415] });
    await expect(answer(method)).rejects.toThrow(OptionError);
  });
});

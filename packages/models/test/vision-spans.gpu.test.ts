import { readFileSync } from 'node:fs';
import {
  type EncodedPrompt,
  KvCache,
  type LayerContext,
  type Method,
  openGpu,
  type RawImage,
  RefusedError,
  type SequenceSpans,
  scale,
  type Tensor,
} from '@saccade/core';
import { assertClose, sharedGpu } from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import { loadVisionLanguageModel, type VisionLanguageModel } from '../src/index.ts';
import type { ModelFiles } from '../src/resolve/types.ts';
import { goldenModel } from './golden-folder.ts';
import { goldenVision, loadGoldenVision, type VisionFolder } from './golden-vision.ts';

/** What the tokens at some positions say. */
function words(model: VisionLanguageModel, { ids }: EncodedPrompt, positions: readonly number[]): string {
  return model.tokenizer.decode(
    positions.map((position) => ids[position] as number),
    { skipSpecialTokens: false },
  );
}

const black: RawImage = { width: 40, height: 24, channels: 1, data: new Uint8Array(960) };

async function withModel(name: VisionFolder, work: (model: VisionLanguageModel) => Promise<void>): Promise<void> {
  const model = await loadGoldenVision(await sharedGpu(), name);
  try {
    await work(model);
  } finally {
    model.dispose();
  }
}

describe('spans', () => {
  it('llava: system, image grids, question with characters, in the order of the text', () =>
    withModel('llava', async (model) => {
      expect(model.facts).toMatchObject({ architecture: 'llava', features: ['imageSpans'] });
      const { images } = goldenVision('llava');
      const encoded = await model.encode({ text: '  What is Né? ', images });
      const { system, question, images: grids, length } = encoded.spans as NonNullable<EncodedPrompt['spans']>;
      expect(length).toBe(encoded.ids.length);
      expect(words(model, encoded, system?.positions ?? [])).toBe('<s>USER: ');
      expect(question?.text).toBe('What is Né?');
      expect(words(model, encoded, question?.positions ?? [])).toBe('What is Né?');
      // The two bytes of é are two tokens for one character.
      expect(question?.characters.slice(8, 12)).toEqual([
        [8, 9],
        [9, 10],
        [9, 10],
        [10, 11],
      ]);
      expect(grids.map(({ image, rows, columns }) => [image, rows, columns])).toEqual([
        [0, 4, 4],
        [1, 4, 4],
      ]);
      for (const grid of grids) {
        expect(words(model, encoded, grid.positions)).toBe('<image>'.repeat(16));
        expect([grid.start, grid.end]).toEqual([grid.positions[0], (grid.positions.at(-1) as number) + 1]);
      }
      const plain = encoded.withoutImages();
      expect(model.tokenizer.decode(plain.ids, { skipSpecialTokens: false })).toBe(
        '<s>USER: \n\nWhat is Né? ASSISTANT:',
      );
      expect(words(model, plain, plain.spans?.question?.positions ?? [])).toBe('What is Né?');
      expect(plain.spans?.images).toEqual([]);
      encoded.dispose();
    }));

  it('smolvlm: the grid of a split image is put together from its tiles, the whole image is an overview', () =>
    withModel('smolvlm-split', async (model) => {
      const { images } = goldenVision('smolvlm-split');
      const encoded = await model.encode({ text: 'Hm?', images: images.slice(0, 1) });
      const [grid] = encoded.spans?.images ?? [];
      expect(grid).toMatchObject({ rows: 4, columns: 4, overview: { rows: 2, columns: 2 } });
      const { positions = [], overview, start, end } = grid ?? {};
      // Row 0 crosses the first two tiles; row 2 begins the third.
      expect(positions.slice(0, 8).map((position) => position - (positions[0] as number))).toEqual([
        0, 1, 6, 7, 2, 3, 8, 9,
      ]);
      expect(new Set([...positions, ...(overview?.positions ?? [])]).size).toBe(20);
      const text = words(model, encoded, encoded.ids.map((_, position) => position).slice(start, end));
      expect(text.startsWith('<fake_token_around_image><row_1_col_1>')).toBe(true);
      expect(text.endsWith('<fake_token_around_image>')).toBe(true);
      expect(model.tokenizer.decode(encoded.withoutImages().ids, { skipSpecialTokens: false })).toBe(
        '<|im_start|>User:Hm?<end_of_utterance>\nAssistant:',
      );
      encoded.dispose();
    }));

  it('qwen2-vl: grids follow the picture, the template’s own system text counts, markers go with the image', () =>
    withModel('qwen2-vl', async (model) => {
      const { images } = goldenVision('qwen2-vl');
      const encoded = await model.encode({ text: 'Hm?', images: images.slice(0, 1) });
      const { system, images: grids } = encoded.spans as NonNullable<EncodedPrompt['spans']>;
      expect(words(model, encoded, system?.positions ?? [])).toContain('You help.');
      expect(grids[0]).toMatchObject({ rows: 3, columns: 4 });
      expect(encoded.rotary?.axes.map((axis) => axis.length)).toEqual(new Array(3).fill(encoded.ids.length));
      expect(encoded.rotary?.offset).toBe(4 - 12);
      const plain = encoded.withoutImages();
      expect(plain.rotary).toBeUndefined();
      expect(model.tokenizer.decode(plain.ids, { skipSpecialTokens: false })).not.toContain('vision');
      encoded.dispose();
    }));
});

describe('methods', () => {
  it('see spans in prefill, decoding and steps, those of a companion without images as well', () =>
    withModel('llava', async (model) => {
      const { images } = goldenVision('llava');
      const seen: { phase: string; sequence: number; spans: SequenceSpans | undefined; seen: number }[] = [];
      const steps: (SequenceSpans | undefined)[] = [];
      const method: Method = {
        name: 'looks',
        options: {},
        phases: ['prefill', 'decode'],
        requires: { spans: ['image', 'question'] },
        companions: ({ prompt }) => {
          const plain = prompt.withoutImages();
          return [{ ids: plain.ids, prompt: plain, withMethods: true }];
        },
        attend(context, _, next) {
          if (context.layer === 1) seen.push({ ...context });
          return next();
        },
        step(context) {
          if (context.phase === 'decode') steps.push(context.spans);
        },
      };
      for await (const _ of model.generate({ text: 'Hm?', images }, { method, maxTokens: 3, ignoreEndOfText: true }));
      const own = seen.filter(({ sequence }) => sequence === 0);
      const companion = seen.filter(({ sequence }) => sequence === 1);
      expect(own.map(({ phase, spans }) => [phase, spans?.images.length])).toEqual([
        ['prefill', 2],
        ['decode', 2],
        ['decode', 2],
      ]);
      const length = own[0]?.spans?.length as number;
      expect(own.map(({ spans }) => spans?.response)).toEqual(
        [0, 1, 2].map((more) => ({ start: length, end: length + more })),
      );
      expect(companion.map(({ spans }) => [spans?.images.length, spans?.length])).toEqual(
        new Array(3).fill([0, length - 32]),
      );
      expect(steps.map((spans) => spans?.response.end)).toEqual([length + 1]);
    }));

  it.each([false, true])(
    'a companion of the prompt alone runs as the same text would, is scaled beside the sequence, and leaves; steps planned: %s',
    (steadySteps) =>
      withModel('llava', async (model) => {
        const { gpu } = model;
        const { images } = goldenVision('llava');
        const doubled: Tensor[] = [];
        const counts: number[] = [];
        let plain: EncodedPrompt | undefined;
        const method: Method = {
          name: 'reinforces',
          options: {},
          phases: ['prefill', 'decode'],
          wholePrompt: true,
          steadySteps,
          companions: ({ prompt }) => {
            plain = prompt.withoutImages();
            return [{ ids: plain.ids, prompt: plain, promptOnly: true }];
          },
          afterAttention(context: LayerContext, { output }, companions) {
            counts.push(companions.length);
            if (context.layer === 1) for (const each of companions) doubled.push(gpu.keep(each.output.alias()));
            if (context.layer !== 0) return undefined;
            return { output: scale(output, 2), companions: companions.map((each) => scale(each.output, 2)) };
          },
        };
        const told: number[] = [];
        const options = { maxTokens: 3, ignoreEndOfText: true };
        for await (const { ids } of model.generate({ text: 'Hm?', images }, { ...options, method })) told.push(...ids);
        // Three layers in the prompt, then in each step that is recorded.
        expect(counts).toEqual([1, 1, 1, ...new Array(steadySteps ? 3 : 6).fill(0)]);
        // The second layer of the companion ran on the doubled first one.
        const edit = { 'blocks.0.attention.z': (z: Tensor) => scale(z, 2) };
        let expected: Tensor | undefined;
        const observe = {
          'blocks.1.attention.z': (z: Tensor) => {
            expected = gpu.keep(z.alias());
          },
        };
        (await model.logits((plain as EncodedPrompt).ids, { edit, observe })).dispose();
        const [companion] = doubled as [Tensor];
        const rows = gpu.tidy(() =>
          companion
            .transpose(0, 2, 1, 3)
            .reshape((expected as Tensor).shape)
            .alias(),
        );
        assertClose(await rows.read(), (await (expected as Tensor).read()) as Float32Array, { absolute: 1e-5 });
        // And the sequence itself as if edited alone.
        const alone: number[] = [];
        for await (const { ids } of model.generate({ text: 'Hm?', images }, { ...options, edit })) alone.push(...ids);
        expect(told).toEqual(alone);
        for (const tensor of [rows, expected as Tensor, ...doubled]) tensor.dispose();
      }),
  );

  it('are refused on prompts without what they need', () =>
    withModel('llava', async (model) => {
      const method: Method = { name: 'needs-image', options: {}, phases: ['prefill'], requires: { spans: ['image'] } };
      const text = async () => {
        for await (const _ of model.generate([{ role: 'user', content: 'Hm?' }], { method }));
      };
      await expect(text()).rejects.toThrow(/needs-image cannot run on this prompt: it has no image/);
      await expect(model.logits([1, 2, 3], { method })).rejects.toThrow(RefusedError);
    }));
});

describe('prompts', () => {
  it('longer than a pass give the logits of one pass', () =>
    withModel('qwen2-vl', async (model) => {
      const { images } = goldenVision('qwen2-vl');
      const text = 'A long text. '.repeat(45);
      const encoded = await model.encode({
        messages: [
          {
            role: 'user',
            content: [{ type: 'image' }, { type: 'text', text }, { type: 'image' }, { type: 'text', text: 'Hm?' }],
          },
        ],
        images,
      });
      expect(encoded.ids.length).toBeGreaterThan(600);
      const prompt = await model.prefill(encoded);
      const whole = await model.prefill(encoded, {
        method: { name: 'whole', options: {}, phases: ['prefill'], wholePrompt: true, layer: (_, x, next) => next(x) },
      });
      const expected = (await whole.nextLogits.read()) as Float32Array;
      assertClose(await prompt.nextLogits.read(), expected, { absolute: 1e-3, relative: 1e-4 });
      prompt.dispose();
      whole.dispose();
      encoded.dispose();
    }));

  it('are known to what continues them: forks, saved caches, further text, chats', () =>
    withModel('qwen2-vl', async (model) => {
      const { gpu } = model;
      const { images } = goldenVision('qwen2-vl');
      const prompt = await model.prefill({ text: 'Hm?', images: images.slice(0, 1) });
      const restored = KvCache.restore(gpu, await prompt.kv.save());
      expect(restored.prompt).toEqual(prompt.facts);
      const fork = prompt.kv.fork();
      const logits = [fork, restored].map((cache) => gpu.tidy(() => model.forward([7], { cache }).logits as Tensor));
      const [first, second] = (await gpu.read(logits)) as [Float32Array, Float32Array];
      expect(second).toEqual(first);
      const longer = await model.extend(prompt, [7]);
      assertClose(await longer.nextLogits.read(), first, { absolute: 1e-4, relative: 1e-5 });
      expect(longer.facts?.spans?.images.length).toBe(1);
      const method: Method = { name: 'needs-image', options: {}, phases: ['prefill'], requires: { spans: ['image'] } };
      (await model.extend(prompt, [7], { method })).dispose();
      const chat = model.chat();
      const turn = async () => {
        for await (const _ of chat.send('Hm?', { method, maxTokens: 1 }));
      };
      await expect(turn()).rejects.toThrow(/no image/);
      for (const owner of [chat, prompt, longer, fork, restored, ...logits]) owner.dispose();
    }));

  it('without images still work, as text, messages and ids', () =>
    withModel('idefics3', async (model) => {
      const answers: string[] = [];
      for (const prompt of ['Hm', [{ role: 'user', content: 'Hm' }], [5, 6, 7]]) {
        for await (const piece of model.generate(prompt as string, { maxTokens: 2, ignoreEndOfText: true })) {
          answers.push(piece.text);
        }
      }
      expect(answers.length).toBe(6);
      const ids = model.encodePrompt([{ role: 'user', content: 'Hm' }]);
      expect(model.tokenizer.decode(ids, { skipSpecialTokens: false })).toBe(
        '<|im_start|>User: Hm<end_of_utterance>\nAssistant:',
      );
    }));

  it('in a batch are what they are alone; those with positions on several axes are refused there', async () => {
    const { images } = goldenVision('llava');
    const options = { maxTokens: 3, ignoreEndOfText: true };
    const prompts = [{ text: 'Hm?', images }, 'Plain text'];
    await withModel('llava', async (model) => {
      const together: number[][] = [[], []];
      for await (const { ids, index } of model.generate(prompts, options)) together[index]?.push(...ids);
      for (const [index, prompt] of prompts.entries()) {
        const alone: number[] = [];
        for await (const { ids } of model.generate(prompt, options)) alone.push(...ids);
        expect(together[index]).toEqual(alone);
      }
    });
    await withModel('qwen2-vl', async (model) => {
      const run = async () => {
        for await (const _ of model.generate(prompts, options));
      };
      await expect(run()).rejects.toThrow(/several axes/);
    });
  });

  it('with another number of images than places are refused', () =>
    withModel('llava', async (model) => {
      const message = { role: 'user', content: [{ type: 'image' as const }, { type: 'text' as const, text: 'Hm?' }] };
      await expect(model.encode({ messages: [message], images: [black, black] })).rejects.toThrow(
        /images: got "2 images"; allowed: 1, as many/,
      );
      await expect(model.encode({ messages: [message] })).rejects.toMatchObject({ name: 'ArgumentError' });
      await expect(model.encode('Look: <image>')).rejects.toThrow(/0 images/);
      await expect(model.encode({ rendered: 'Look: <image>', question: 'where', images: [black] })).rejects.toThrow(
        /question/,
      );
      await expect(model.encode({ images: [black] } as never)).rejects.toMatchObject({ name: 'ArgumentError' });
    }));
});

/** A folder whose files are changed as they are read. */
async function changed(
  name: string,
  change: (file: string, content: string) => string | undefined,
): Promise<ModelFiles> {
  const files = await goldenModel(name);
  return {
    ...files,
    names: files.names.filter((file) => change(file, '') !== undefined),
    async open(file) {
      if (!file.endsWith('.json')) return files.open(file);
      const text = change(file, readFileSync(`${files.location}/${file}`, 'utf8')) ?? '';
      const bytes = new TextEncoder().encode(text);
      return {
        name: file,
        size: bytes.length,
        read: async (at, length) => bytes.slice(at, at + length),
        close: async () => undefined,
      };
    },
  };
}

describe('loading', () => {
  it('frees what it took, whether the model was used or could not be loaded', async () => {
    const gpu = await openGpu();
    const { images } = goldenVision('idefics3');
    const model = await loadGoldenVision(gpu, 'idefics3');
    const loaded = gpu.stats().liveBytes;
    for await (const _ of model.generate({ text: 'Hm?', images }, { maxTokens: 2, ignoreEndOfText: true }));
    const encoded = await model.encode({ text: 'Hm?', images });
    encoded.dispose();
    expect(gpu.stats().liveBytes).toBe(loaded);
    model.dispose();
    expect(gpu.stats().liveBytes).toBe(0);
    // One layer more than the file has.
    const deeper = (file: string, text: string) =>
      file === 'config.json' ? text.replaceAll('"num_hidden_layers": 3', '"num_hidden_layers": 4') : text;
    for (const name of ['idefics3', 'qwen2-vl']) {
      const files = await changed(name, (file, text) =>
        name === 'idefics3' ? deeper(file, text) : text.replace('"depth": 2', '"depth": 3'),
      );
      await expect(loadVisionLanguageModel(gpu, files)).rejects.toMatchObject({
        name: 'WeightFileError',
        code: 'not-found',
      });
    }
    expect(gpu.stats().liveBytes).toBe(0);
    gpu.dispose();
  });

  it.each([
    ['another architecture', 'llava', '"model_type": "llava"', '"model_type": "fuyu"', 'unsupported'],
    ['a layer that is not there', 'llava', '"vision_feature_layer": -2', '"vision_feature_layer": -9', 'invalid'],
    ['sections that do not fit', 'qwen2-vl', /"mrope_section": \[[^\]]*\]/, '"mrope_section": [1, 1, 1]', 'invalid'],
  ])('refuses %s', async (_, name, from, to, code) => {
    const files = await changed(name, (file, text) => (file === 'config.json' ? text.replace(from, to) : text));
    await expect(loadVisionLanguageModel(await sharedGpu(), files)).rejects.toMatchObject({
      name: 'ModelConfigError',
      code,
    });
  });
});

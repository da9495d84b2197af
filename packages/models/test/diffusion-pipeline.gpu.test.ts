import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DenoisingStage, type Gpu, type Method, normalNumbers, RefusedError, type Tensor } from '@saccade/core';
import { assertClose, parseGoldenTensors, randomArray, sharedGpu } from '@saccade/core/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type DiffusionPipeline,
  loadDiffusionModel,
  ModelConfigError,
  planSteps,
  WeightFileError,
} from '../src/index.ts';
import { goldenPipeline } from './diffusion-files.ts';
import { goldenPath } from './golden-folder.ts';

let gpu: Gpu;
let pipeline: DiffusionPipeline;

beforeAll(async () => {
  gpu = await sharedGpu();
  pipeline = await loadDiffusionModel(gpu, goldenPipeline());
});

afterAll(() => pipeline.dispose());

async function values(tensor: Tensor): Promise<Float32Array> {
  return (await tensor.read()) as Float32Array;
}

/** Latents of a run. */
async function latents(options: Parameters<DiffusionPipeline['generate']>[0], on = pipeline): Promise<Float32Array> {
  using result = await on.generate(options);
  return await values(result.latents);
}

describe('the autoencoder', () => {
  it('decodes as diffusers does', async () => {
    const golden = parseGoldenTensors(readFileSync(goldenPath('diffusion/autoencoder/golden.safetensors')));
    const input = gpu.tensor(golden('latents').data as Float32Array, golden('latents').shape);
    const image = pipeline.decoder?.decode(input) as Tensor;
    expect(image.shape).toEqual(golden('image').shape);
    assertClose(await values(image), golden('image').data as Float32Array, { absolute: 5e-5, relative: 1e-4 });
    image.dispose();
    input.dispose();
  });
});

describe('a run', () => {
  it.each(['ddpm', 'ddim', 'dpmSolver++'] as const)(
    'with %s is its steps, one by one, under guidance',
    async (scheduler) => {
      const [steps, guidance, seed, shape] = [4, 2.5, 11, [1, 4, 8, 8]];
      const predict = async (sample: Float32Array, timestep: number, label: number) => {
        const output = gpu.keep(
          gpu.tidy(() => {
            const labels = gpu.tensor([label], [1], 'u32');
            return pipeline.model.predict(gpu.tensor(sample, shape), { timestep, condition: { labels } });
          }),
        );
        const read = await values(output);
        output.dispose();
        return read.subarray(0, 256);
      };
      let sample = normalNumbers(256, { seed });
      let before: Float32Array | undefined;
      for (const [index, step] of planSteps(scheduler, pipeline.scheduler, { steps }).entries()) {
        const [given, none] = [await predict(sample, step.timestep, 3), await predict(sample, step.timestep, 5)];
        const prediction = given.map((value, at) => guidance * value + (1 - guidance) * (none[at] as number));
        const noise = normalNumbers(256, { seed, stream: 65536 + index });
        const { clip = Number.POSITIVE_INFINITY, next } = step;
        const clean = sample.map((value, at) => {
          const estimate = step.clean.sample * value + step.clean.prediction * (prediction[at] as number);
          return Math.min(Math.max(estimate, -clip), clip);
        });
        const previous = before;
        before = clean;
        sample = sample.map(
          (value, at) =>
            next.sample * value +
            next.prediction * (prediction[at] as number) +
            next.clean * (clean[at] as number) +
            next.previousClean * (previous?.[at] ?? 0) +
            next.noise * (noise[at] as number),
        );
      }
      const result = await latents({ classLabel: 3, steps, guidance, seed, scheduler });
      const size = Math.max(...sample.map(Math.abs));
      assertClose(result, sample, { absolute: 2e-5 * size, relative: 1e-4 });
    },
  );

  it('gives an image, previews of it, progress and steps, and the same for the same seed in a batch', async () => {
    const progress: number[] = [];
    const steps: unknown[] = [];
    let preview: Uint8ClampedArray | undefined;
    using result = await pipeline.generate({
      classLabel: [1, 4],
      steps: 3,
      seed: 5,
      onProgress: (share) => progress.push(Number(share.toFixed(3))),
      onStep: async ({ step, sample, preview: show }) => {
        steps.push([step.index, step.count, sample.shape]);
        const image = await show(1);
        expect([image.width, image.height]).toEqual([16, 16]);
        preview = image.data;
      },
    });
    expect(progress).toEqual([0.3, 0.6, 0.9, 1]);
    expect(steps).toEqual([0, 1, 2].map((index) => [index, 3, [2, 4, 8, 8]]));
    expect(result.images?.shape).toEqual([2, 3, 16, 16]);
    const second = await result.rgba(1);
    // The last step's clean estimate is its sample.
    expect(second.data).toEqual(preview);
    expect(second.data[3]).toBe(255);
    await expect(async () => result.rgba(2)).rejects.toThrow(/rgba: index.*0 to 1/);
    using alone = await pipeline.generate({ classLabel: 1, steps: 3, seed: 5 });
    assertClose(await values(alone.latents), (await values(result.latents)).subarray(0, 256), { absolute: 1e-4 });
    const other = await latents({ classLabel: 1, steps: 3, seed: 6 });
    expect(other[0]).not.toBeCloseTo((await values(alone.latents))[0] as number, 3);
  });

  it('tells methods every step; one that only looks changes nothing', async () => {
    const seen: string[] = [];
    const watching: Method = {
      name: 'watching',
      options: {},
      phases: ['denoise'],
      requires: { phases: ['denoise'], denoisingSteps: 3 },
      createState: ({ facts }) => ({ steps: facts.denoisingSteps, grid: facts.tokenGrid }),
      attend({ layer, step, batch, state }, _call, next) {
        if (layer === 0) seen.push(`${step?.index}/${step?.count} of ${state.steps}, ${batch} x ${state.grid.width}`);
        return next();
      },
      step: (context) => {
        if (context.phase === 'denoise') seen.push(`before ${context.step.index}`);
      },
    };
    const dense = await latents({ classLabel: 2, steps: 3 });
    expect(await latents({ classLabel: 2, steps: 3, method: watching })).toEqual(dense);
    expect(seen).toEqual(['0/3 of 3, 2 x 4', 'before 1', '1/3 of 3, 2 x 4', 'before 2', '2/3 of 3, 2 x 4']);
    const many = { ...watching, requires: { denoisingSteps: 9 } };
    await expect(latents({ classLabel: 2, steps: 3, method: many })).rejects.toThrow(RefusedError);
  });

  it('runs the stages of a method’s schedule, from noised estimates at other sizes', async () => {
    const flow = await loadDiffusionModel(gpu, goldenPipeline('flow'));
    const grids: string[] = [];
    const staged = (stages: readonly Partial<DenoisingStage>[]): Method => ({
      name: 'staged',
      options: {},
      phases: ['denoise'],
      schedule: ({ stages: [first] }) => ({
        stages: stages.map((stage) => ({ ...(first as DenoisingStage), ...stage })),
      }),
      attend({ layer, step, model: { tokenGrid } }, _call, next) {
        if (layer === 0) grids.push(`${step?.stage}.${step?.index}: ${tokenGrid?.height}x${tokenGrid?.width}`);
        return next();
      },
    });
    const low = { height: 8, width: 8 };
    await latents(
      { classLabel: 0, method: staged([{ steps: 2 }, { steps: 5, strength: 0.4, shift: 3, ...low }, { steps: 1 }]) },
      flow,
    );
    expect(grids).toEqual(['0.0: 4x4', '0.1: 4x4', '1.2: 2x2', '1.3: 2x2', '2.4: 4x4']);
    // Stages without steps change nothing; neither does a stage that goes on with as much noise as there was.
    const plain = await latents({ classLabel: 0, steps: 2, method: staged([{ steps: 2 }]) }, flow);
    expect(await latents({ classLabel: 0, steps: 2 }, flow)).toEqual(plain);
    const none = staged([{ steps: 2 }, { steps: 4, strength: 0 }]);
    expect(await latents({ classLabel: 0, method: none }, flow)).toEqual(plain);
    const short = staged([{ strength: 0.5 }]);
    await expect(latents({ classLabel: 0, method: short }, flow)).rejects.toThrow(/strength.*1 in the first stage/);
    flow.dispose();
  });

  it('refuses bad input before anything runs, and leaves nothing behind', async () => {
    const before = gpu.stats().liveBytes;
    const refused = (options: object) => expect(latents(options as never)).rejects;
    await refused({ classLabel: 9 }).toThrow(/classLabel.*classes from 0 to 4/);
    await refused({}).toThrow(/classLabel/);
    await refused({ classLabel: 0, captionEmbeddings: [] }).toThrow(/captionEmbeddings.*knows classes/);
    await refused({ classLabel: 0, height: 17 }).toThrow(/height.*multiple of 2 pixels/);
    await refused({ classLabel: 0, steps: 0 }).toThrow(/steps/);
    await refused({ classLabel: 0, guidance: -1 }).toThrow(/guidance/);
    await refused({ classLabel: 0, scheduler: 'euler' }).toThrow(/scheduler.*ddpm, ddim/);
    await refused({ classLabel: 0, scheduler: 'flowEuler' }).toThrow(/predicts no flow/);
    await refused({ classLabel: 0, frames: 3 }).toThrow(/frames.*images/);
    await refused({ classLabel: 0, signal: AbortSignal.abort(new Error('no more')) }).toThrow('no more');
    const failing = { onStep: () => Promise.reject(new Error('not this image')) };
    await refused({ classLabel: 0, ...failing }).toThrow('not this image');
    expect(gpu.stats().liveBytes).toBe(before);
  });
});

describe('captions', () => {
  const caption = (tokens: number, seed: number) => gpu.tensor(randomArray(tokens * 20, seed), [tokens, 20]);

  it('of several lengths make a batch of images, each as alone; size and guidance count', async () => {
    const pixart = await loadDiffusionModel(gpu, goldenPipeline('scheduler', 'pixart-alpha'));
    const [short, long, none] = [caption(2, 1), caption(7, 2), caption(1, 3)];
    const options = { steps: 3, seed: 4, height: 16, width: 24, negativeCaptionEmbeddings: none };
    const both = await latents({ ...options, captionEmbeddings: [long, short] }, pixart);
    expect(both.length).toBe(2 * 4 * 8 * 12);
    const alone = await latents({ ...options, captionEmbeddings: long }, pixart);
    const size = Math.max(...alone.map(Math.abs));
    assertClose(alone, both.subarray(0, alone.length), { absolute: 1e-5 * size });
    const plain = await latents({ ...options, captionEmbeddings: long, guidance: 1 }, pixart);
    expect(Math.max(...plain.map((value, at) => Math.abs(value - (alone[at] as number))))).toBeGreaterThan(0.01 * size);
    const refused = (given: object) => expect(latents({ steps: 1, ...given }, pixart)).rejects;
    await refused({ captionEmbeddings: long }).toThrow(/negativeCaptionEmbeddings.*guidance: 1 without it/);
    await refused({ guidance: 1 }).toThrow(/captionEmbeddings.*f32 \[tokens, 20\]/);
    const wide = gpu.zeros([2, 21]);
    await refused({ guidance: 1, captionEmbeddings: wide }).toThrow(/f32\[2,21\]/);
    await refused({ classLabel: 1, captionEmbeddings: long }).toThrow(/classLabel.*reads captions/);
    for (const tensor of [short, long, none, wide]) tensor.dispose();
    pixart.dispose();
  });

  it('in one sequence with a video give its latents, frame by frame', async () => {
    const video = await loadDiffusionModel(gpu, {
      ...goldenPipeline('cogvideox-scheduler', 'cogvideox-rotary'),
      names: [
        'transformer/config.json',
        'transformer/diffusion_pytorch_model.safetensors',
        'scheduler/scheduler_config.json',
      ],
    });
    const [text, none, long] = [caption(5, 1), caption(5, 2), caption(6, 3)];
    const given = { captionEmbeddings: text, negativeCaptionEmbeddings: none, steps: 3, height: 64, width: 96 };
    const seen: unknown[] = [];
    const method: Method = {
      name: 'watching',
      options: {},
      phases: ['denoise'],
      attend({ layer, model: { tokenGrid } }, _call, next) {
        if (layer === 0) seen.push(tokenGrid);
        return next();
      },
    };
    using result = await video.generate({ ...given, frames: 2, method });
    expect(result.latents.shape).toEqual([1, 2, 4, 8, 12]);
    expect(result.images).toBeUndefined();
    expect(seen).toEqual(new Array(3).fill({ frames: 2, height: 4, width: 6, textTokens: 5, textFirst: true }));
    expect((await values(result.latents)).every(Number.isFinite)).toBe(true);
    await expect(video.generate({ ...given, negativeCaptionEmbeddings: long })).rejects.toThrow(/equally many/);
    const preview = { onStep: async (event: { preview(): Promise<unknown> }) => void (await event.preview()) };
    await expect(video.generate({ ...given, ...preview })).rejects.toThrow(RefusedError);
    for (const tensor of [text, none, long]) tensor.dispose();
    video.dispose();
  });
});

describe('loading', () => {
  it('takes a folder of diffusers, or a transformer alone', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'saccade-diffusion-'));
    try {
      const weights = 'diffusion_pytorch_model.safetensors';
      for (const [part, source] of [
        ['transformer', 'dit'],
        ['vae', 'autoencoder'],
      ] as const) {
        await mkdir(join(folder, part));
        for (const file of ['config.json', weights]) {
          await symlink(goldenPath(`diffusion/${source}/${file}`), join(folder, part, file));
        }
      }
      await writeFile(join(folder, 'model_index.json'), '{"_class_name":"DiTPipeline"}');
      const whole = await loadDiffusionModel(gpu, folder, { sources: ['local'] });
      expect([whole.makesImages, whole.scheduler.solver, whole.decoder?.factor]).toEqual([true, 'ddim', 2]);
      whole.dispose();
      const alone = await loadDiffusionModel(gpu, join(folder, 'transformer'), { sources: ['local'] });
      expect(alone.makesImages).toBe(false);
      using result = await alone.generate({ classLabel: 0, steps: 1, guidance: 1 });
      expect(result.images).toBeUndefined();
      expect(() => result.rgba()).toThrow(RefusedError);
      alone.dispose();
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('refuses configurations and weights that do not fit, and frees what it had', async () => {
    const before = gpu.stats().liveBytes;
    const files = goldenPipeline();
    const changed = (name: string, change: (json: Record<string, unknown>) => object) => ({
      ...files,
      async open(asked: string) {
        const source = await files.open(asked);
        if (asked !== name) return source;
        const json = JSON.parse(new TextDecoder().decode(await source.read(0, source.size)));
        await source.close();
        const bytes = new TextEncoder().encode(JSON.stringify(change(json)));
        return {
          name: asked,
          size: bytes.length,
          read: async (from: number, count: number) => bytes.slice(from, from + count),
          close: async () => undefined,
        };
      },
    });
    const load = (name: string, changes: object) =>
      expect(
        loadDiffusionModel(
          gpu,
          changed(name, (json) => ({ ...json, ...changes })),
        ),
      ).rejects;
    await load('transformer/config.json', { _class_name: 'UNet2DConditionModel' }).toThrow(ModelConfigError);
    await load('transformer/config.json', { activation_fn: 'geglu' }).toThrow(/activation_fn/);
    await load('transformer/config.json', { num_layers: 3 }).toThrow(WeightFileError);
    await load('transformer/config.json', { num_embeds_ada_norm: 7 }).toThrow(/embedding_table.*shape \[6,32\]/);
    await load('vae/config.json', { up_block_types: ['AttnUpDecoderBlock2D'] }).toThrow(/up_block_types/);
    await load('vae/config.json', { latent_channels: 8 }).toThrow(WeightFileError);
    await load('scheduler/scheduler_config.json', { thresholding: true }).toThrow(/thresholding/);
    expect(gpu.stats().liveBytes).toBe(before);
  });
});

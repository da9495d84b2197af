import { SaccadeError } from '@saccade/core';
import type { DiffusionPipeline } from '@saccade/models';
import { DenoisingDensity } from '../../measure/denoising-density.ts';
import { FeatureDistance } from '../../measure/feature-distance.ts';
import { type HostImage, psnr, ssim } from '../../measure/image-quality.ts';
import { interleave, speedup } from '../../measure/interleave.ts';
import type { ResultRow } from '../../result-file/types.ts';
import type { Scenario, ScenarioContext, Variant } from '../../scenario.ts';
import { imageGrid } from './image-grid.ts';
import { PipelineModel } from './pipeline-model.ts';

/** Denoising steps of an image. */
const stepsOf = { full: 20, quick: 10 } as const;
const guidance = 2;
/** Samples are in [-1, 1]. */
const range = 2;

/** `diffusion/image`: a diffusion transformer draws images of its classes. */
export const diffusionImage: Scenario = {
  name: 'diffusion/image',
  title: 'Images by a diffusion transformer',
  description:
    'One image at a time, each of another class, by DDIM with guidance 2 in 20 steps (10 in a quick run); the context is the image’s tokens. PSNR, SSIM and the distance of patch features of the shipped vision encoder are against ' +
    'the dense image from the same seed. Methods are run in turn; a repeat is an image, and the time of a step is the mean over its run.',
  needs: 'diffusion',
  phases: ['denoise'],
  // How many tokens an image has is the model's affair.
  lengths: { full: [256], quick: [256] },
  budgets: { full: [0.05, 0.1, 0.25], quick: [0.1] },
  repeats: { full: 8, quick: 2 },
  async *run(context) {
    const { model } = context;
    if (!(model instanceof PipelineModel)) {
      throw new SaccadeError('wrong-model', `${model.facts.name} is not a diffusion model of images.`);
    }
    yield* measureImages(context, model.pipeline, context.quick ? stepsOf.quick : stepsOf.full);
  },
};

/** What the runs of a variant have drawn. */
interface Drawn {
  readonly variant: Variant;
  readonly images: HostImage[];
  density: number | null;
  refusal: ResultRow | undefined;
}

async function* measureImages(
  context: ScenarioContext,
  pipeline: DiffusionPipeline,
  steps: number,
): AsyncGenerator<ResultRow> {
  const { gpu, repeats, signal, seed, progress } = context;
  const { network } = pipeline.model;
  if (network.conditioning.kind !== 'classes') {
    throw new SaccadeError('wrong-model', `${pipeline.facts.name} draws no classes.`);
  }
  const { classes } = network.conditioning;
  const tokens = network.grid(network.sampleSize);
  const contextLength = tokens.height * tokens.width;
  // Another class with every image, far from the one before.
  const classOf = (image: number) => (image * 5) % classes;
  const draw = async (variant: Variant, image: number, meter?: DenoisingDensity): Promise<HostImage> => {
    const method = meter ? meter.around(variant.create()) : variant.create();
    const options = { classLabel: classOf(image), steps, guidance, seed: seed + image, method, signal };
    const result = await pipeline.generate(options);
    try {
      const [, channels, height, width] = result.latents.shape as [number, number, number, number];
      return { channels, height, width, values: (await result.latents.read()) as Float32Array };
    } finally {
      result.dispose();
    }
  };
  const extra = { contextLength, steps };
  const runs = context
    .variants(contextLength, [tokens.height, tokens.width])
    .map((variant): Drawn => ({ variant, images: [], density: null, refusal: undefined }));
  progress.total(runs.length * (repeats + 1));
  // One run each finds out what is refused, compiles the kernels and counts the keys.
  for (const run of runs) {
    progress.advance(1, `${run.variant.entry.name}`);
    const row = await context.measure(run.variant, extra, async () => {
      const meter = new DenoisingDensity();
      await draw(run.variant, 0, meter);
      run.density = await meter.density(gpu);
      return { samples: 0, density: null, quality: {}, speed: {}, memory: {} };
    });
    if (row.status !== 'ok') run.refusal = row;
  }
  for (const { refusal } of runs) if (refusal) yield refusal;
  const able = runs.filter(({ refusal }) => refusal === undefined);
  const [dense] = able;
  if (!dense) return;
  const times = await interleave(
    able.map((run, index) => ({
      name: `${index}`,
      run: async () => {
        const start = performance.now();
        run.images.push(await draw(run.variant, run.images.length));
        progress.advance(1, `${run.variant.entry.name}`);
        return performance.now() - start;
      },
    })),
    { rounds: repeats, warmUp: 0, signal },
  );
  const denseTimes = times.get('0');
  const features = await FeatureDistance.open(gpu, signal);
  try {
    for (const [index, run] of able.entries()) {
      const own = times.get(`${index}`);
      if (!own || !denseTimes) continue;
      yield await context.measure(run.variant, extra, async () => {
        const featureDistance = await features.mean(run.images, dense.images);
        const mean = (measure: (image: HostImage, reference: HostImage, range: number) => number) =>
          run.images.reduce((sum, image, at) => sum + measure(image, dense.images[at] as HostImage, range), 0) /
          repeats;
        const { median, p10, p90, n } = own.summary;
        return {
          samples: repeats,
          density: run.density,
          quality: run === dense ? {} : { psnr: mean(psnr), ssim: mean(ssim), featureDistance },
          speed: {
            stepMs: { median: median / steps, p10: p10 / steps, p90: p90 / steps, n },
            sampleMs: own.summary,
            ...(run === dense ? {} : { speedup: speedup(denseTimes, own) }),
          },
          memory: {},
        };
      });
    }
  } finally {
    features.dispose();
  }
  const shown = Array.from({ length: Math.min(repeats, 8) }, (_, image) => image);
  const nameOf = ({ variant }: Drawn) =>
    variant.budget === null ? variant.entry.name : `${variant.entry.name} at ${variant.budget}`;
  context.picture({
    title: `Images in ${steps} steps`,
    caption: 'The same noise and class in each row.',
    columns: able.map(nameOf),
    rows: shown.map((image) => `class ${classOf(image)}`),
    png: await imageGrid(shown.map((image) => able.map(({ images }) => images[image] as HostImage))),
  });
}

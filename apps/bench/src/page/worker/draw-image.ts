import { summarizeTimings } from '@saccade/core';
import { DenoisingDensity } from '../../measure/denoising-density.ts';
import { type HostImage, psnr, ssim } from '../../measure/image-quality.ts';
import type { PipelineModel } from '../../scenarios/diffusion/pipeline-model.ts';
import { AttentionRecorder } from './attention-recorder.ts';
import type { Side, SideResult } from './side.ts';

const guidance = 2;
/** Samples are in [-1, 1]. */
const range = 2;

/** A diffusion model draws an image, shown step by step and watched; then once more, timed. */
export async function drawImage(
  side: Side<PipelineModel>,
  dense: HostImage | undefined,
): Promise<SideResult<HostImage>> {
  const { request, variant, signal, report, model } = side;
  const { pipeline } = model;
  const { gpu } = pipeline;
  const { classLabel, steps, seed } = request;
  const settings = { classLabel, steps, guidance, seed, signal };
  const network = pipeline.model.network;
  const grid = network.grid(network.sampleSize);
  const meter = new DenoisingDensity();
  const recorder = new AttentionRecorder(['denoise'], (queries) => Math.min(request.patch, queries - 1));
  report({
    type: 'keys',
    side: side.side,
    keys: { kind: 'grid', rows: grid.height, columns: grid.width, positions: undefined },
  });
  try {
    const method = [...meter.around(variant.create()), ...(request.attention ? [recorder.method] : [])];
    const watched = await pipeline.generate({
      ...settings,
      method,
      onStep: async ({ step, preview }) => {
        const { data, width, height } = await preview();
        const pixels = { data: new Uint8ClampedArray(data), width, height };
        report({ type: 'image', side: side.side, label: `step ${step.index + 1} of ${step.count}`, pixels });
        for (const taken of await recorder.take(gpu, (index) => `step ${index + 1}`))
          report({ type: 'attention', side: side.side, step: taken });
      },
    });
    watched.dispose();
  } finally {
    recorder.dispose();
  }
  gpu.resetPeak();
  const begin = performance.now();
  const drawn = await pipeline.generate({ ...settings, method: variant.create() });
  try {
    const [, channels, height, width] = drawn.latents.shape as [number, number, number, number];
    const image: HostImage = { channels, height, width, values: (await drawn.latents.read()) as Float32Array };
    const total = performance.now() - begin;
    return {
      result: image,
      measured: {
        samples: 1,
        density: await meter.density(gpu),
        quality: dense ? { psnr: psnr(image, dense, range), ssim: ssim(image, dense, range) } : {},
        speed: { stepMs: summarizeTimings([total / steps]), sampleMs: summarizeTimings([total]) },
        memory: { peakBytes: gpu.stats().peakBytes },
      },
    };
  } finally {
    drawn.dispose();
  }
}

import { readFileSync } from 'node:fs';
import { assertClose, parseGoldenTensors, sharedGpu } from '@saccade/core/testing';
import { expect, it } from 'vitest';
import { loadTinyDiffusion, shapesDit } from '../src/index.ts';

const golden = parseGoldenTensors(readFileSync(new URL('golden/shapes-dit.safetensors', import.meta.url)));

it("predicts what diffusers' network predicts", async () => {
  const gpu = await sharedGpu();
  const { model, ...rest } = await loadTinyDiffusion(gpu, shapesDit);
  const { data, shape } = golden('input');
  const [times, labels] = [golden('timesteps').data, golden('labels').data];
  const pictureSize = data.length / times.length;
  for (const [index, timestep] of times.entries()) {
    const range = [index * pictureSize, (index + 1) * pictureSize] as const;
    const sample = gpu.tensor(data.slice(...range), [1, ...shape.slice(1)]);
    const ids = gpu.tensor([labels[index] as number], [1], 'u32');
    const out = model.predict(sample, { timestep, condition: { labels: ids } });
    assertClose(await out.read(), golden('output').data.slice(...range), { absolute: 1e-3, relative: 1e-3 });
    for (const tensor of [sample, ids, out]) tensor.dispose();
  }
  model.dispose();
  expect(rest.decoder).toBeUndefined();
});

it("draws the picture that diffusers' DDIM draws from the same noise", async () => {
  const gpu = await sharedGpu();
  const pipeline = await loadTinyDiffusion(gpu, shapesDit);
  const result = await pipeline.generate({ classLabel: 3, steps: 10, guidance: 2, seed: 0 });
  expect(result.latents.shape).toEqual([1, 3, 32, 32]);
  // Ten steps carry rounding on.
  assertClose(await result.latents.read(), golden('sample').data, { absolute: 1e-2, relative: 1e-2 });
  result.dispose();
  pipeline.dispose();
});

import { readFileSync } from 'node:fs';
import { type Gpu, normalNumbers, RandomStream, type Tensor } from '@saccade/core';
import { mean, square, subtract } from '@saccade/core/autodiff';
import { AdamW, train } from '@saccade/core/nn';
import { assertClose, parseGoldenTensors, sharedGpu } from '@saccade/core/testing';
import { expect, it } from 'vitest';
import { shapesDit } from '../src/index.ts';
import { startRandomly } from './random-start.ts';
import { choices, classes, draw, halved } from './shapes.ts';
import { TrainableDit } from './trainable-dit.ts';

const seed = 2027;
const trainSteps = 1000;
const log = JSON.parse(
  readFileSync(new URL('../checkpoints/shapes-dit/training-log.json', import.meta.url), 'utf8'),
) as {
  readonly firstLosses: readonly number[];
  readonly stages: readonly { readonly side: number; readonly pictures: number; readonly rate: number }[];
};

/** What is kept of a clean picture at each timestep: the cosine schedule. */
const kept = (() => {
  const level = (share: number) => Math.cos((((share + 0.008) / 1.008) * Math.PI) / 2) ** 2;
  let product = 1;
  return Array.from({ length: trainSteps }, (_, step) => {
    product *= 1 - Math.min(1 - level((step + 1) / trainSteps) / level(step / trainSteps), 0.999);
    return product;
  });
})();

/** Noised pictures and velocities as patches, timesteps and labels. */
interface Batch {
  readonly given: number[];
  readonly velocity: number[];
  readonly times: number[];
  readonly labels: number[];
}

/** The batch of a step of the first stage, as `train_tiny_dit.py` makes it. */
function batch(step: number, side: number, count: number): Batch {
  const drawn = choices(seed + 1, step * count, count);
  const stream = new RandomStream(seed + 2, step);
  const times = drawn.map((_, index) => Math.floor(((index + stream.next()) * trainSteps) / count));
  const labels = drawn.map(({ label }) => (stream.next() < 0.1 ? classes : label));
  const size = 3 * side * side;
  const noise = normalNumbers(count * size, { seed: seed + 3, stream: step });
  const [given, velocity]: [number[], number[]] = [[], []];
  for (const [index, choice] of drawn.entries()) {
    const picture = halved(draw(choice));
    const share = kept[times[index] as number] as number;
    const [signal, rest] = [Math.sqrt(share), Math.sqrt(1 - share)];
    const at = (place: number) => [picture[place] as number, noise[index * size + place] as number] as const;
    for (const place of patchPlaces(side, 'channels first')) {
      const [clean, noisy] = at(place);
      given.push(signal * clean + rest * noisy);
    }
    for (const place of patchPlaces(side, 'channels last')) {
      const [clean, noisy] = at(place);
      velocity.push(signal * noisy - rest * clean);
    }
  }
  return { given, velocity, times, labels };
}

/** Where the values of the patches of two by two pixels stand in [3, side, side]. */
function patchPlaces(side: number, order: 'channels first' | 'channels last'): number[] {
  const places: number[] = [];
  for (let top = 0; top < side; top += 2) {
    for (let left = 0; left < side; left += 2) {
      const patch = [0, 1, 2].map((channel) =>
        [0, 1].flatMap((dy) => [0, 1].map((dx) => (channel * side + top + dy) * side + left + dx)),
      );
      if (order === 'channels first') places.push(...patch.flat());
      else places.push(...[0, 1, 2, 3].flatMap((pixel) => patch.map((channel) => channel[pixel] as number)));
    }
  }
  return places;
}

function lossOf(model: TrainableDit, { given, velocity, times, labels }: Batch) {
  const { gpu } = model.proj_out_2.bias.tensor;
  const shape = [times.length, given.length / times.length / 12, 12];
  const out = model.forward(gpu.tensor(given, shape), times, gpu.tensor(labels, [labels.length], 'u32'));
  return mean(square(subtract(out, gpu.tensor(velocity, shape))));
}

it("our own training follows PyTorch's first losses within 1%, from the same seed", async () => {
  const gpu = await sharedGpu();
  const before = gpu.stats().liveBytes;
  const { side, pictures, rate } = log.stages[0] as (typeof log.stages)[number];
  const model = new TrainableDit(gpu);
  const closed = /norm1\.linear|proj_out/;
  startRandomly(
    model,
    seed,
    (name) => name,
    (name, shape) =>
      shape.length === 1 || closed.test(name) ? 'zeros' : 1 / Math.sqrt(shape.slice(1).reduce((a, b) => a * b)),
  );
  const optimizer = new AdamW(model.parameters(), { learningRate: rate, weightDecay: 0, betas: [0.9, 0.99] });
  const steps = Number(process.env.SACCADE_FIRST_LOSSES ?? 4);
  const { entries } = await train({
    module: model,
    optimizer,
    steps,
    clip: 1,
    schedule: (step) => Math.min(1, (step + 1) / 50),
    loss: ({ step }) => lossOf(model, batch(step, side, pictures)),
  });
  const worst = Math.max(...entries.map(({ loss, step }) => Math.abs(loss / (log.firstLosses[step] as number) - 1)));
  expect(entries).toHaveLength(steps);
  expect(worst).toBeLessThan(0.01);
  model.dispose();
  optimizer.dispose();
  expect(gpu.stats().liveBytes).toBe(before);
}, 900_000);

/** The shipped checkpoint, to be trained. */
function shipped(gpu: Gpu): TrainableDit {
  const model = new TrainableDit(gpu);
  model.loadSafetensors(readFileSync(shapesDit.files['diffusion_pytorch_model.safetensors'] as URL));
  return model;
}

it("a trainable network loads diffusers' checkpoint and predicts what it predicts", async () => {
  const gpu = await sharedGpu();
  const model = shipped(gpu);
  const golden = parseGoldenTensors(readFileSync(new URL('golden/shapes-dit.safetensors', import.meta.url)));
  const side = 32;
  const ordered = (name: string, order: 'channels first' | 'channels last') => {
    const { data } = golden(name);
    return patchPlaces(side, order).map((place) => data[place] as number);
  };
  const out = gpu.tidy(() => {
    const patches = gpu.tensor(ordered('input', 'channels first'), [1, 256, 12]);
    const ids = gpu.tensor([golden('labels').data[0] as number], [1], 'u32');
    return model.forward(patches, [golden('timesteps').data[0] as number], ids) as Tensor;
  });
  assertClose(await out.read(), ordered('output', 'channels last'), { absolute: 1e-3, relative: 1e-3 });
  out.dispose();
  model.dispose();
});

it('the shipped checkpoint is fine-tuned with falling loss', async () => {
  const gpu = await sharedGpu();
  const model = shipped(gpu);
  const optimizer = new AdamW(model.parameters(), { learningRate: 3e-4, weightDecay: 0 });
  // One batch of pictures that the network has not seen, over and over.
  const unseen = batch(1_000_000, 16, 2);
  const { entries } = await train({ module: model, optimizer, steps: 4, clip: 1, loss: () => lossOf(model, unseen) });
  expect(entries.at(-1)?.loss).toBeLessThan(0.9 * (entries[0]?.loss as number));
  model.dispose();
  optimizer.dispose();
}, 900_000);

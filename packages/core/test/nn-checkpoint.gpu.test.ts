import { describe, expect, it } from 'vitest';
import { dropout, mean, square, subtract } from '../src/autodiff/index.ts';
import { ArgumentError, type Gpu, ShapeError, type Tensor } from '../src/index.ts';
import {
  AdamW,
  clipGradients,
  Ema,
  Initializer,
  loadCheckpoint,
  Mlp,
  type Module,
  moduleGradients,
  type Optimizer,
  RmsNorm,
  Sgd,
  saveCheckpoint,
} from '../src/nn/index.ts';
import { assertClose, modestGpu, randomArray, sharedGpu } from '../src/testing/index.ts';

const optimizers = {
  AdamW: (module: Module): Optimizer => new AdamW(module.parameters(), { learningRate: 0.01 }),
  Sgd: (module: Module): Optimizer => new Sgd(module.parameters(), { learningRate: 0.1, momentum: 0.9 }),
};

function start(gpu: Gpu, seed: number, kind: keyof typeof optimizers) {
  const module = new Mlp(new Initializer(gpu, { seed }), { size: 3, hidden: 8 });
  return { module, optimizer: optimizers[kind](module) };
}

/** Steps from `first` to below `end`; the losses. */
async function train(gpu: Gpu, run: { module: Mlp; optimizer: Optimizer }, first: number, end: number) {
  const losses: Tensor[] = [];
  for (let step = first; step < end; step++) {
    losses.push(
      gpu.tidy(() => {
        const x = gpu.tensor(randomArray(15, step), [5, 3]);
        const found = moduleGradients(run.module, () =>
          mean(square(subtract(run.module.forward(dropout(x, { rate: 0.2, stream: step })), x))),
        );
        run.optimizer.step(clipGradients(found.gradients, 0.5).gradients);
        return found.loss;
      }),
    );
  }
  const data = await gpu.read(losses);
  for (const loss of losses) loss.dispose();
  return data.map((each) => each[0]);
}

describe.each([
  ['full', sharedGpu],
  ['modest', modestGpu],
] as const)('checkpoints on the %s device', (_, open) => {
  it.each(['AdamW', 'Sgd'] as const)('a run with %s goes on from one to the last bit', async (kind) => {
    const gpu = await open();
    const before = gpu.stats().liveBytes;
    const whole = start(gpu, 1, kind);
    await train(gpu, whole, 0, 5);
    const file = await saveCheckpoint(whole, 5);
    const losses = await train(gpu, whole, 5, 10);
    // Of other numbers, and with a history of its own.
    const resumed = start(gpu, 2, kind);
    await train(gpu, resumed, 20, 22);
    const step = loadCheckpoint(file, resumed);
    expect(step).toBe(5);
    expect(await saveCheckpoint(resumed, 5)).toEqual(file);
    expect(await train(gpu, resumed, step, 10)).toEqual(losses);
    for (const { module, optimizer } of [whole, resumed]) {
      module.dispose();
      optimizer.dispose();
    }
    expect(gpu.stats().liveBytes).toBe(before);
  });

  it('moving averages follow the parameters', async () => {
    const gpu = await open();
    const before = gpu.stats().liveBytes;
    const run = start(gpu, 1, 'AdamW');
    const ema = new Ema(run.module.parameters(), { decay: 0.75 });
    const weight = run.module.fc1.weight.tensor;
    const expected = Float64Array.from(await weight.read());
    for (let step = 0; step < 3; step++) {
      await train(gpu, run, step, step + 1);
      ema.update();
      const now = await weight.read();
      now.forEach((value, at) => {
        expected[at] = 0.75 * (expected[at] as number) + 0.25 * value;
      });
    }
    assertClose(await (ema.stateDict().get('fc1.weight') as Tensor).read(), expected, { absolute: 1e-6 });
    ema.apply();
    assertClose(await weight.read(), expected, { absolute: 1e-6 });
    expect(() => new Ema(run.module.parameters(), { decay: 1 })).toThrow(ArgumentError);
    ema.dispose();
    run.module.dispose();
    run.optimizer.dispose();
    expect(gpu.stats().liveBytes).toBe(before);
  });
});

it('a checkpoint that does not fit changes nothing', async () => {
  const gpu = await sharedGpu();
  const before = gpu.stats().liveBytes;
  const run = start(gpu, 1, 'AdamW');
  await train(gpu, run, 0, 2);
  const file = await saveCheckpoint(run, 2);
  const norm = new RmsNorm(new Initializer(gpu), { size: 3 });
  const wide = new Mlp(new Initializer(gpu), { size: 3, hidden: 9 });
  const sgd = optimizers.Sgd(run.module);
  expect(() => loadCheckpoint(file, { module: norm, optimizer: run.optimizer })).toThrow(ArgumentError);
  expect(() => loadCheckpoint(file, { module: wide, optimizer: run.optimizer })).toThrow(ShapeError);
  expect(() => loadCheckpoint(file, { module: run.module, optimizer: sgd })).toThrow(ArgumentError);
  expect(() => loadCheckpoint(file.subarray(0, file.length - 8), run)).toThrow(ArgumentError);
  const weights = await run.module.saveSafetensors();
  expect(() => loadCheckpoint(weights, run)).toThrow(ArgumentError);
  expect(await saveCheckpoint(run, 2)).toEqual(file);
  for (const each of [run.module, norm, wide, run.optimizer, sgd]) each.dispose();
  expect(gpu.stats().liveBytes).toBe(before);
});

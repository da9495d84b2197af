import { describe, expect, it } from 'vitest';
import { dropout, log, mean, multiply, square, subtract, type Value } from '../src/autodiff/index.ts';
import { ArgumentError, DivergedError, type Gpu, type Tensor } from '../src/index.ts';
import {
  AdamW,
  type BatchPlace,
  type CheckpointStore,
  cosineSchedule,
  Ema,
  Initializer,
  Mlp,
  moduleGradients,
  type Parameter,
  Sgd,
  type TrainingProgress,
  type TrainOptions,
  train,
} from '../src/nn/index.ts';
import { assertClose, modestGpu, randomArray, sharedGpu } from '../src/testing/index.ts';

function memoryStore(): CheckpointStore & { checkpoint: Uint8Array | undefined; writes: number } {
  return {
    checkpoint: undefined,
    writes: 0,
    async read() {
      return this.checkpoint;
    },
    async write(checkpoint) {
      this.checkpoint = checkpoint;
      this.writes++;
    },
  };
}

/** A module that learns its own input through dropout, and what trains it. */
function start(gpu: Gpu, seed = 1) {
  const module = new Mlp(new Initializer(gpu, { seed }), { size: 3, hidden: 8 });
  const optimizer = new AdamW(module.parameters(), { learningRate: 0.01 });
  const ema = new Ema(module.parameters(), { decay: 0.9 });
  const loss = ({ step, part }: BatchPlace): Value => {
    const x = gpu.tensor(randomArray(15, 1 + 2 * step + part), [5, 3]);
    return mean(square(subtract(module.forward(dropout(x, { rate: 0.2, stream: step })), x)));
  };
  const options: TrainOptions = {
    module,
    optimizer,
    ema,
    loss,
    steps: 12,
    accumulate: 2,
    clip: 0.5,
    schedule: cosineSchedule({ steps: 12, warmup: 2 }),
    reportEvery: 3,
  };
  const dispose = () => {
    for (const each of [module, optimizer, ema]) each.dispose();
  };
  return { module, optimizer, ema, loss, options, dispose };
}

const lossesOf = ({ entries }: Awaited<ReturnType<typeof train>>) => entries.map(({ loss }) => loss);

describe.each([
  ['full', sharedGpu],
  ['modest', modestGpu],
] as const)('train on the %s device', (_, open) => {
  it('goes on from a checkpoint to the last bit, averages and all', async () => {
    const gpu = await open();
    const before = gpu.stats().liveBytes;
    const whole = start(gpu);
    const losses = lossesOf(await train(whole.options));
    expect(losses).toHaveLength(12);
    const store = memoryStore();
    const stopper = new AbortController();
    const first = start(gpu);
    const cut = train({
      ...first.options,
      checkpoint: { store, every: 100 },
      signal: stopper.signal,
      onProgress: ({ done }) => done === 6 && stopper.abort(new Error('enough')),
    });
    await expect(cut).rejects.toThrow('enough');
    expect(store.writes).toBe(1);
    const second = start(gpu, 2);
    const resumed = await train({ ...second.options, checkpoint: { store } });
    expect(resumed.firstStep).toBe(6);
    expect(lossesOf(resumed)).toEqual(losses.slice(6));
    expect(await second.module.saveSafetensors()).toEqual(await whole.module.saveSafetensors());
    whole.ema.apply();
    second.ema.apply();
    expect(await second.module.saveSafetensors()).toEqual(await whole.module.saveSafetensors());
    for (const each of [whole, first, second]) each.dispose();
    expect(gpu.stats().liveBytes).toBe(before);
  });

  it('averages gradients of parts and clips them', async () => {
    const gpu = await open();
    const run = start(gpu);
    const plain = new Mlp(new Initializer(gpu, { seed: 1 }), { size: 3, hidden: 8 });
    const parts = [0, 1].map((part) => gpu.tidy(() => moduleGradients(run.module, () => run.loss({ step: 0, part }))));
    const gradients = await Promise.all(
      parts.map(async ({ gradients: own }) => (await (own['fc1.weight'] as Tensor).read()).slice()),
    );
    const before = await run.module.fc1.weight.tensor.read();
    const sgd = new Sgd(run.module.parameters(), { learningRate: 0.1 });
    const { entries } = await train({ ...run.options, optimizer: sgd, steps: 1, clip: 0.1, schedule: () => 0.5 });
    const factor = 0.1 / ((entries[0]?.gradientNorm as number) + 1e-6);
    expect(factor).toBeLessThan(1);
    const expected = before.map(
      (value, at) => value - 0.05 * factor * 0.5 * ((gradients[0]?.[at] as number) + (gradients[1]?.[at] as number)),
    );
    assertClose(await run.module.fc1.weight.tensor.read(), expected, { absolute: 1e-6 });
    for (const { loss, gradients: own } of parts) for (const each of [loss, ...Object.values(own)]) each.dispose();
    for (const each of [plain, sgd, run]) each.dispose();
  });

  it('stops at NaN, names step and tensor, and leaves the parameters of the step before', async () => {
    const gpu = await open();
    const before = gpu.stats().liveBytes;
    const good = start(gpu);
    await train({ ...good.options, steps: 5 });
    const run = start(gpu);
    const loss = (place: BatchPlace): Value => {
      const plain = run.loss(place);
      // The logarithm of a negative number.
      return place.step === 5 && place.part === 1 ? log(subtract(plain, gpu.tensor([100], []))) : plain;
    };
    const failed = await train({ ...run.options, loss }).catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(DivergedError);
    expect(DivergedError.isInstance(failed)).toBe(true);
    expect((failed as DivergedError).step).toBe(5);
    expect((failed as DivergedError).tensor).toMatch(/^the result \[\] of operation \d+, log,$/);
    expect(String(failed)).toMatch(/step 5: .*log.*NaN or infinity/);
    expect(await run.module.saveSafetensors()).toEqual(await good.module.saveSafetensors());
    for (const each of [good, run]) each.dispose();
    expect(gpu.stats().liveBytes).toBe(before);
  });
});

it('names a parameter, or a gradient, that is not finite', async () => {
  const gpu = await sharedGpu();
  const run = start(gpu);
  gpu.tidy(() => {
    const bytes = new Uint8Array(Float32Array.of(Number.POSITIVE_INFINITY, 0, 0).buffer);
    gpu.write(gpu.range((run.module.fc2.bias as Parameter).tensor, 'test'), bytes);
  });
  await expect(train(run.options)).rejects.toThrow('step 0: parameter fc2.bias holds NaN');
  run.dispose();
  // x^2 is finite at 0 and so is its gradient; the square of a huge gradient is not.
  const huge = start(gpu);
  const loss = (place: BatchPlace): Value => multiply(huge.loss(place), gpu.tensor([1e30], []));
  await expect(train({ ...huge.options, loss })).rejects.toThrow('step 0: the norm of the gradients');
  huge.dispose();
});

it('skips steps whose scaled gradients overflow, halves the scale, and trains as without', async () => {
  const gpu = await sharedGpu();
  const plain = start(gpu);
  const losses = lossesOf(await train({ ...plain.options, steps: 4 }));
  const run = start(gpu);
  // The gradients of f32 overflow only where the loss is enlarged further.
  let enlarged = 2 ** 120;
  const loss = (place: BatchPlace): Value => {
    const own = run.loss(place);
    return place.step === 1 ? multiply(own, gpu.tensor([enlarged], [])) : own;
  };
  const scaled = await train({ ...run.options, steps: 4, loss, lossScaling: { initial: 1024, growthInterval: 2 } });
  const [first, second, third, fourth] = scaled.entries;
  expect(first).toMatchObject({ step: 0, lossScale: 1024 });
  expect(first?.loss).toBe(losses[0]);
  expect(second).toMatchObject({ step: 1, lossScale: 1024, skipped: true, gradientNorm: null });
  expect([third?.lossScale, fourth?.lossScale]).toEqual([512, 512]);
  run.dispose();
  // Powers of two change nothing.
  enlarged = 1;
  const same = start(gpu);
  const equal = await train({ ...same.options, steps: 4, lossScaling: { initial: 1024, growthInterval: 2 } });
  assertClose(lossesOf(equal), losses, { relative: 1e-6 });
  expect(equal.entries.map(({ lossScale }) => lossScale)).toEqual([1024, 1024, 2048, 2048]);
  plain.dispose();
  same.dispose();
});

it('reports, logs, evaluates and reads no more often than it says', async () => {
  const gpu = await sharedGpu();
  const run = start(gpu);
  const [lines, progress]: [string[], TrainingProgress[]] = [[], []];
  const readbacks = gpu.stats().readbacks;
  const { entries } = await train({
    ...run.options,
    steps: 8,
    itemsPerStep: 10,
    log: (line) => lines.push(line),
    onProgress: (each) => progress.push(each),
    evaluate: { every: 5, run: async (step) => 100 + step },
  });
  // After 3, 5 (evaluation) and 8 steps.
  expect(gpu.stats().readbacks - readbacks).toBe(3);
  expect(progress.map(({ done, steps }) => [done, steps])).toEqual([
    [3, 8],
    [5, 8],
    [8, 8],
  ]);
  for (const { itemsPerSecond, secondsPerStep } of progress) expect(itemsPerSecond).toBeCloseTo(10 / secondsPerStep, 6);
  expect(lines.map((line) => JSON.parse(line))).toEqual(entries);
  expect(entries.flatMap(({ step, evaluation }) => (evaluation ? [[step, evaluation]] : []))).toEqual([
    [4, 104],
    [7, 107],
  ]);
  expect(entries.map(({ rate }) => rate).slice(0, 3)).toEqual([0.5, 1, 1]);
  run.dispose();
});

it('warns of a checkpoint from another adapter, and refuses bad options', async () => {
  const [gpu, modest] = [await sharedGpu(), await modestGpu()];
  const [run, other] = [start(gpu), start(modest)];
  const store = memoryStore();
  const warnings: string[] = [];
  await train({ ...run.options, steps: 1, checkpoint: { store } });
  await train({ ...run.options, steps: 1, checkpoint: { store }, onWarning: (line) => warnings.push(line) });
  expect(warnings).toEqual([]);
  await train({ ...other.options, steps: 2, checkpoint: { store }, onWarning: (line) => warnings.push(line) });
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toContain(`made on ${gpu.fingerprint}; this is ${modest.fingerprint}. `);
  await expect(train({ ...run.options, steps: 0 })).rejects.toThrow(ArgumentError);
  await expect(train({ ...run.options, clip: 0 })).rejects.toThrow(/train: clip/);
  await expect(train({ ...run.options, lossScaling: { initial: 0.5 } })).rejects.toThrow(/lossScaling.initial/);
  run.dispose();
  other.dispose();
});

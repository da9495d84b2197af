import { describe, expect, it } from 'vitest';
import { mean, multiply, recompute, square, type Value, valueAndGrad } from '../src/autodiff/index.ts';
import { ArgumentError, type Gpu, type Tensor } from '../src/index.ts';
import {
  AdamW,
  CausalLm,
  type CausalLmForwardOptions,
  Initializer,
  moduleGradients,
  setPrecision,
  TokenWindows,
  train,
} from '../src/nn/index.ts';
import { assertClose, modestGpu, randomArray, sharedGpu } from '../src/testing/index.ts';

const [rows, length] = [2, 40];

function start(gpu: Gpu) {
  const model = new CausalLm(new Initializer(gpu, { seed: 2 }), {
    ...{ vocabularySize: 32, hiddenSize: 32, layers: 5, heads: 4, kvHeads: 2, intermediateSize: 96 },
    contextLength: length,
    initializerRange: 0.1,
  });
  // A pattern with noise.
  const noise = randomArray(600, 5);
  const tokens = noise.map((value, at) => (value > 0.3 ? Math.floor(16 + 15 * value) : (at * at) % 16));
  return { model, batches: new TokenWindows(tokens, { length, batch: rows, seed: 1 }) };
}

describe.each([
  ['full', sharedGpu],
  ['modest', modestGpu],
] as const)('on the %s device', (_, open) => {
  it('recomputed layers give the same gradients in less memory', async () => {
    const gpu = await open();
    const before = gpu.stats().liveBytes;
    const { model, batches } = start(gpu);
    model.freeze('model.layers.1.mlp');
    const measure = async (options: CausalLmForwardOptions) => {
      const { ids, targets } = batches.tensors(gpu, 0);
      gpu.resetPeak();
      const live = gpu.stats().liveBytes;
      const { loss, gradients } = moduleGradients(model, () => model.loss(ids, targets, options));
      const peak = gpu.stats().peakBytes - live;
      const data = await gpu.read([loss, ...Object.values(gradients)]);
      for (const each of [ids, targets, loss, ...Object.values(gradients)]) each.dispose();
      return { peak, data, names: Object.keys(gradients) };
    };
    const dropout = { rate: 0.1, seed: 3, step: 7 };
    const [plain, again] = [await measure({ dropout }), await measure({ dropout, recompute: true })];
    expect(again.names).toEqual(plain.names);
    expect(again.data).toEqual(plain.data);
    expect(again.peak).toBeLessThan(0.5 * plain.peak);
    model.dispose();
    expect(gpu.stats().liveBytes).toBe(before);
  });

  it('f16 products train as f32 ones do', async () => {
    const gpu = await open();
    const before = gpu.stats().liveBytes;
    const run = async (precision: 'f32' | 'f16', initial: number) => {
      const { model, batches } = start(gpu);
      setPrecision(model, precision);
      const optimizer = new AdamW(model.parameters(), { learningRate: 3e-3 });
      const { entries } = await train({
        ...{ module: model, optimizer, steps: 12, clip: 1, lossScaling: { initial, growthInterval: 5 } },
        loss: ({ step }) => {
          const { ids, targets } = batches.tensors(gpu, step);
          return model.loss(ids, targets);
        },
      });
      model.dispose();
      optimizer.dispose();
      return entries;
    };
    const [plain, half] = [await run('f32', 1024), await run('f16', 1024)];
    const losses = (entries: typeof plain) => entries.map(({ loss }) => loss);
    expect(losses(half)).not.toEqual(losses(plain));
    assertClose(losses(half), losses(plain), { relative: 0.01 });
    expect(losses(half).at(-1)).toBeLessThan(0.8 * (losses(half)[0] as number));
    // Too large a scale overflows in f16 (not in f32), is halved until it fits, and training goes on.
    const late = await run('f16', 2 ** 24);
    const skipped = late.filter((entry) => entry.skipped);
    expect(skipped.length).toBeGreaterThan(0);
    expect(skipped.length).toBeLessThan(10);
    expect(late.at(-1)?.loss).toBeLessThan(late[0]?.loss as number);
    expect((await run('f32', 2 ** 24)).some((entry) => entry.skipped)).toBe(false);
    expect(gpu.stats().liveBytes).toBe(before);
  });
});

it('recompute refuses tracked values from outside, and passes plain ones through', async () => {
  const gpu = await sharedGpu();
  const before = gpu.stats().liveBytes;
  const [x, y] = [gpu.tensor([1, 2, 3]), gpu.tensor([4, 5, 6])];
  const hidden = () => valueAndGrad((a, b) => mean(recompute([a], (own) => multiply(own, b))), x, y);
  expect(hidden).toThrow(ArgumentError);
  const found = valueAndGrad((a) => mean(recompute([a, y], (own, other) => square(multiply(own, other)))), x);
  assertClose(
    await found.gradients[0].read(),
    [1, 2, 3].map((own, at) => (2 / 3) * own * (4 + at) ** 2),
    { relative: 1e-6 },
  );
  const plain = recompute([x], (own: Value) => square(own)) as Tensor;
  expect([...(await plain.read())]).toEqual([1, 4, 9]);
  for (const each of [x, y, plain, found.value, found.gradients[0]]) each.dispose();
  expect(gpu.stats().liveBytes).toBe(before);
});

it('precision is set by path', async () => {
  const gpu = await sharedGpu();
  const { model } = start(gpu);
  setPrecision(model, 'f16', /mlp/);
  const [layer] = model.model.layers;
  const chosen = [...model.modules()].filter(([, module]) => 'precision' in module && module.precision === 'f16');
  expect(chosen.map(([name]) => name).slice(0, 3)).toEqual(
    ['gate_proj', 'up_proj', 'down_proj'].map((name) => `model.layers.0.mlp.${name}`),
  );
  expect(chosen).toHaveLength(15);
  expect(layer?.self_attn).not.toHaveProperty('precision');
  expect(() => setPrecision(model, 'f16', 'norm')).toThrow(ArgumentError);
  expect(() => setPrecision(model, 'f64' as 'f16')).toThrow(/precision/);
  model.dispose();
});

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { mean, square, stopGradient, subtract } from '../src/autodiff/index.ts';
import {
  ArgumentError,
  type Gpu,
  quantizedTensor,
  RefusedError,
  ShapeError,
  scale,
  sum,
  type Tensor,
} from '../src/index.ts';
import {
  AdamW,
  accumulateGradients,
  clipGradients,
  cosineSchedule,
  Embedding,
  GatedMlp,
  type Gradients,
  Initializer,
  LayerNorm,
  Linear,
  Lora,
  Mlp,
  Module,
  moduleGradients,
  Parameter,
  RmsNorm,
  Sgd,
} from '../src/nn/index.ts';
import { assertClose, modestGpu, randomArray, sharedGpu } from '../src/testing/index.ts';
import { goldenTensors } from './golden-tensors.ts';

const golden = goldenTensors('training');

function dispose(...tensors: readonly Tensor[]): void {
  for (const tensor of tensors) tensor.dispose();
}

class Block extends Module {
  readonly norm: RmsNorm;
  readonly mlp: GatedMlp;
  constructor(init: Initializer) {
    super();
    this.norm = new RmsNorm(init, { size: 4 });
    this.mlp = new GatedMlp(init, { size: 4, hidden: 6 });
  }
}

class Model extends Module {
  readonly embed_tokens: Embedding;
  readonly layers: Block[];
  readonly norm: LayerNorm;
  constructor(init: Initializer) {
    super();
    this.embed_tokens = new Embedding(init, { vocabulary: 7, size: 4 });
    this.layers = [new Block(init), new Block(init)];
    this.norm = new LayerNorm(init, { size: 4 });
  }

  loss(ids: Tensor) {
    let x = this.embed_tokens.forward(ids);
    for (const { norm, mlp } of this.layers) x = subtract(x, mlp.forward(norm.forward(x)));
    return mean(square(subtract(this.norm.forward(x), x)));
  }
}

describe('modules', () => {
  it('name parameters by their path, make them from a seed, and free them', async () => {
    const gpu = await sharedGpu();
    const before = gpu.stats().liveBytes;
    const [model, same, other] = [5, 5, 6].map((seed) => new Model(new Initializer(gpu, { seed }))) as [
      Model,
      Model,
      Model,
    ];
    expect([...model.parameters().keys()]).toEqual([
      'embed_tokens.weight',
      ...[0, 1].flatMap((layer) =>
        ['norm.weight', 'mlp.gate_proj.weight', 'mlp.up_proj.weight', 'mlp.down_proj.weight'].map(
          (name) => `layers.${layer}.${name}`,
        ),
      ),
      'norm.weight',
      'norm.bias',
    ]);
    const files = await Promise.all([model, same, other].map((each) => each.saveSafetensors()));
    expect(files[1]).toEqual(files[0]);
    expect(files[2]).not.toEqual(files[0]);
    other.loadSafetensors(files[0] as Uint8Array);
    expect(await other.saveSafetensors()).toEqual(files[0]);
    for (const each of [model, same, other]) each.dispose();
    expect(gpu.stats().liveBytes).toBe(before);
  });

  it('trains what is not frozen, by name', async () => {
    const gpu = await sharedGpu();
    const model = new Model(new Initializer(gpu));
    const ids = gpu.tensor([1, 3, 3], [3], 'u32');
    const names = (found: { loss: Tensor; gradients: Gradients }) => {
      dispose(found.loss, ...Object.values(found.gradients));
      return Object.keys(found.gradients);
    };
    model
      .freeze()
      .unfreeze(/layers\.\d\.norm/)
      .unfreeze('norm');
    const gradientsOf = () => names(moduleGradients(model, () => model.loss(ids)));
    expect(gradientsOf()).toEqual(['layers.0.norm.weight', 'layers.1.norm.weight', 'norm.weight', 'norm.bias']);
    model.freeze('layers');
    expect(gradientsOf()).toEqual(['norm.weight', 'norm.bias']);
    expect(() => model.freeze('layer')).toThrow(ArgumentError);
    model.freeze();
    expect(gradientsOf).toThrow(ArgumentError);
    model.dispose();
    ids.dispose();
  });

  it("loads PyTorch's state dict and gives its results", async () => {
    const gpu = await sharedGpu();
    const file = readFileSync(new URL('./golden/mlp-state.safetensors', import.meta.url));
    const mlp = new Mlp(new Initializer(gpu), { size: 5, hidden: 9 });
    mlp.loadSafetensors(file);
    const x = gpu.tensor(golden('mlp.x').data, [4, 5]);
    const before = gpu.stats().liveBytes;
    const out = stopGradient(mlp.forward(x));
    expect(gpu.stats().liveBytes - before).toBe(256);
    assertClose(await out.read(), golden('mlp.out').data, { relative: 1e-5, absolute: 1e-6 });
    const other = new Mlp(new Initializer(gpu), { size: 5, hidden: 8 });
    const bare = new Mlp(new Initializer(gpu), { size: 5, hidden: 9, bias: false });
    expect(() => other.loadSafetensors(file)).toThrow(ShapeError);
    expect(() => bare.loadSafetensors(file)).toThrow(/fc1.bias, fc2.bias besides/);
    expect(() => mlp.loadSafetensors(file.subarray(0, 100))).toThrow(ArgumentError);
    dispose(x, out);
    for (const each of [mlp, other, bare]) each.dispose();
  });

  it('LoRA begins at its base, also a quantized one, and trains the factors alone', async () => {
    const gpu = await sharedGpu();
    const before = gpu.stats().liveBytes;
    const init = new Initializer(gpu);
    const blocks = new Uint8Array(34 * 3).map((_, at) => (at % 34 === 0 ? 0 : at % 34 === 1 ? 0x20 : (at * 37) % 256));
    const weight = quantizedTensor(gpu, 'q8_0', [3, 32], blocks);
    const base = new Linear(init, { inputs: 32, outputs: 3, bias: false, weight });
    const lora = new Lora(init, base, { rank: 2, alpha: 4 });
    const x = gpu.tensor(randomArray(64, 8), [2, 32]);
    const [own, plain] = [stopGradient(lora.forward(x)), stopGradient(base.forward(x))];
    expect(await own.read()).toEqual(await plain.read());
    const { loss, gradients } = moduleGradients(lora, () => mean(square(lora.forward(x))));
    expect(Object.keys(gradients)).toEqual(['lora_A.weight', 'lora_B.weight']);
    // B is zero: the gradient reaches it through A, and not yet A.
    assertClose(await (gradients['lora_A.weight'] as Tensor).read(), new Float32Array(64));
    expect((await (gradients['lora_B.weight'] as Tensor).read()).every((value) => value !== 0)).toBe(true);
    expect(() => lora.unfreeze()).toThrow(RefusedError);
    await expect(lora.saveSafetensors()).rejects.toThrow(ShapeError);
    dispose(x, own, plain, loss, ...Object.values(gradients));
    lora.dispose();
    expect(gpu.stats().liveBytes).toBe(before);
  });

  it('refuses to differentiate by a parameter twice at once', async () => {
    const gpu = await sharedGpu();
    const before = gpu.stats().liveBytes;
    const norm = new RmsNorm(new Initializer(gpu), { size: 4 });
    const x = gpu.tensor([1, 2, 3, 4]);
    const loss = () => mean(norm.forward(x));
    expect(() => moduleGradients(norm, () => moduleGradients(norm, loss).loss)).toThrow(RefusedError);
    const { loss: value, gradients } = moduleGradients(norm, loss);
    dispose(x, value, ...Object.values(gradients));
    norm.dispose();
    expect(gpu.stats().liveBytes).toBe(before);
  });
});

/** Weight and bias of a golden trajectory. */
function goldenParameters(gpu: Gpu, name: string): Map<string, Parameter> {
  const make = (role: string) => {
    const { data, shape } = golden(`${name}.${role}`);
    return [role, new Parameter(gpu.tensor(data, shape))] as const;
  };
  return new Map([make('weight'), make('bias')]);
}

describe.each([
  ['full', sharedGpu],
  ['modest', modestGpu],
] as const)("optimizers against PyTorch's on the %s device", (_, open) => {
  it.each(['adamw', 'sgd'] as const)('%s: twelve steps', async (name) => {
    const gpu = await open();
    const before = gpu.stats().liveBytes;
    const parameters = goldenParameters(gpu, name);
    const optimizer =
      name === 'sgd'
        ? new Sgd(parameters, { learningRate: 0.05, momentum: 0.9, nesterov: true, weightDecay: 0.01 })
        : new AdamW(parameters, {
            learningRate: 0.01,
            betas: [0.9, 0.95],
            weightDecay: 0.1,
            groups: [{ match: /bias/, learningRate: 3e-3, weightDecay: 0 }],
          });
    for (let step = 0; step < 12; step++) {
      const gradients = Object.fromEntries(
        [...parameters].map(([role, { tensor }]) => {
          const { data } = golden(`${name}.${role}.grads`);
          return [role, gpu.tensor(data.subarray(step * tensor.size, (step + 1) * tensor.size), tensor.shape)];
        }),
      );
      const { dispatches } = gpu.stats();
      optimizer.step(gradients);
      expect(gpu.stats().dispatches - dispatches).toBe(2);
      for (const [role, { tensor }] of parameters) {
        const expected = golden(`${name}.${role}.steps`).data.subarray(step * tensor.size, (step + 1) * tensor.size);
        assertClose(await tensor.read(), expected, { absolute: 1e-6, name: `${name} ${role} after step ${step}` });
      }
      dispose(...Object.values(gradients));
    }
    optimizer.dispose();
    for (const parameter of parameters.values()) parameter.dispose();
    expect(gpu.stats().liveBytes).toBe(before);
  });

  it('clipping by the global norm', async () => {
    const gpu = await open();
    const given = Object.fromEntries(
      [0, 1, 2].map((index) => [`${index}`, gpu.tensor(golden(`clip.${index}`).data, golden(`clip.${index}`).shape)]),
    );
    for (const [most, factor] of [
      [1.5, undefined],
      [1e4, 1],
    ] as const) {
      const { gradients, norm } = clipGradients(given, most);
      assertClose(await norm.read(), golden('clip.norm').data, { relative: 1e-6 });
      for (const [name, gradient] of Object.entries(gradients)) {
        const expected = golden(factor ? `clip.${name}` : `clip.out.${name}`).data;
        assertClose(await gradient.read(), expected, { relative: 2e-6, absolute: 1e-7 });
      }
      dispose(norm, ...Object.values(gradients));
    }
    expect(() => clipGradients(given, 0)).toThrow(ArgumentError);
    dispose(...Object.values(given));
  });
});

it('gradients of batches accumulate to that of all', async () => {
  const gpu = await sharedGpu();
  const before = gpu.stats().liveBytes;
  const mlp = new Mlp(new Initializer(gpu), { size: 3, hidden: 4 });
  const x = gpu.tensor(randomArray(18, 1), [6, 3]);
  const gradientsOf = (rows: Tensor) => {
    const { loss, gradients } = moduleGradients(mlp, () => mean(square(mlp.forward(rows))));
    loss.dispose();
    return gradients;
  };
  let total: Gradients | undefined;
  for (const start of [0, 2, 4]) {
    const part = x.slice(0, start, start + 2);
    const gradients = gradientsOf(part);
    total = accumulateGradients(total, gradients, 1 / 3);
    dispose(part, ...Object.values(gradients));
  }
  const accumulated = (name: string) => total?.[name] ?? x;
  const all = gradientsOf(x);
  for (const [name, gradient] of Object.entries(all)) {
    assertClose(await accumulated(name).read(), await gradient.read(), {
      relative: 1e-4,
      absolute: 1e-6,
      name,
    });
  }
  expect(() => accumulateGradients(total, { one: x })).toThrow(ArgumentError);
  dispose(x, ...Object.values(all), ...Object.values(total ?? {}));
  mlp.dispose();
  expect(gpu.stats().liveBytes).toBe(before);
});

it('the cosine schedule warms up, falls and stays', () => {
  const schedule = cosineSchedule({ steps: 12, warmup: 2, floor: 0.1 });
  assertClose([0, 1, 2, 7, 12, 99].map(schedule), [0.5, 1, 1, 0.55, 0.1, 0.1], { absolute: 1e-12 });
  expect(() => cosineSchedule({ steps: 3, warmup: 3 })).toThrow(ArgumentError);
});

it('optimizers refuse gradients that do not fit', async () => {
  const gpu = await sharedGpu();
  const norm = new RmsNorm(new Initializer(gpu), { size: 4 });
  const wrong = gpu.zeros([3]);
  const optimizer = new AdamW(norm.parameters());
  expect(() => optimizer.step({ weight: wrong })).toThrow(ShapeError);
  expect(() => optimizer.step({ bias: wrong })).toThrow(ArgumentError);
  expect(() => new AdamW(norm.parameters(), { betas: [0.9, 1] })).toThrow(ArgumentError);
  expect(() => new Sgd(norm.parameters(), { learningRate: -1 })).toThrow(ArgumentError);
  wrong.dispose();
  norm.dispose();
});

it('an MLP learns a product, which no linear model can, in steady memory', async () => {
  const gpu = await sharedGpu();
  const before = gpu.stats().liveBytes;
  const axis = Array.from({ length: 9 }, (_, i) => i / 4 - 1);
  const points = axis.flatMap((a) => axis.map((b) => [a, b] as const));
  const wanted = points.map(([a, b]) => a * b);
  const x = gpu.tensor(points.flat(), [81, 2]);
  const y = gpu.tensor(wanted, [81, 1]);
  // On this grid the product is uncorrelated with both inputs and the constant: the best linear model predicts 0.
  const linearLoss = wanted.reduce((total, value) => total + value * value, 0) / 81;
  const mlp = new Mlp(new Initializer(gpu, { seed: 3 }), { size: 2, hidden: 16, outputs: 1 });
  const optimizer = new AdamW(mlp.parameters(), { learningRate: 0.03, weightDecay: 0 });
  const schedule = cosineSchedule({ steps: 120, warmup: 5, floor: 0.05 });
  const losses: Tensor[] = [];
  const liveBytes: number[] = [];
  for (let step = 0; step < 120; step++) {
    const loss = gpu.tidy(() => {
      const found = moduleGradients(mlp, () => mean(square(subtract(mlp.forward(x), y))));
      optimizer.step(clipGradients(found.gradients, 1).gradients, schedule(step));
      return found.loss;
    });
    if (step % 40 === 0) losses.push(loss);
    else loss.dispose();
    liveBytes.push(gpu.stats().liveBytes);
  }
  const final = gpu.tidy(() => scale(sum(stopGradient(square(subtract(mlp.forward(x), y)))), 1 / 81));
  const [reached = 1, ...earlier] = (await gpu.read([final, ...losses])).map((data) => data[0] as number);
  expect(linearLoss).toBeCloseTo((5 / 12) ** 2, 6);
  expect(reached).toBeLessThan(0.02 * linearLoss);
  expect(earlier[0]).toBeGreaterThan(linearLoss / 2);
  expect(liveBytes[39]).toBe(liveBytes[1]);
  dispose(x, y, final, ...losses);
  optimizer.dispose();
  mlp.dispose();
  expect(gpu.stats().liveBytes).toBe(before);
});

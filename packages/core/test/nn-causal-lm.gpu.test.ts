import { describe, expect, it } from 'vitest';
import { linear, prefixSum, stopGradient, type Value } from '../src/autodiff/index.ts';
import { ArgumentError, type Gpu, ropeTable, ShapeError, type Tensor } from '../src/index.ts';
import {
  CausalLm,
  type CausalLmConfig,
  Initializer,
  Linear,
  MultiHeadAttention,
  moduleGradients,
  TokenMixer,
} from '../src/nn/index.ts';
import { assertClose, modestGpu, sharedGpu } from '../src/testing/index.ts';

const config: CausalLmConfig = {
  vocabularySize: 11,
  hiddenSize: 16,
  layers: 2,
  heads: 4,
  kvHeads: 2,
  headSize: 6,
  intermediateSize: 20,
  contextLength: 9,
};

/** Mixes tokens by a running sum. */
class RunningSum extends TokenMixer {
  readonly in_proj: Linear;

  constructor(init: Initializer, size: number) {
    super();
    this.in_proj = new Linear(init, { inputs: size, outputs: size, bias: false });
  }

  forward(x: Value): Value {
    return prefixSum(this.in_proj.forward(x).transpose()).transpose();
  }
}

async function logitsOf(model: CausalLm, gpu: Gpu, ids: readonly number[], rows = 1): Promise<Float32Array> {
  const logits = gpu.tidy(() => stopGradient(model.forward(gpu.tensor(ids, [rows, ids.length / rows], 'u32'))));
  const data = await logits.read();
  logits.dispose();
  return data as Float32Array;
}

describe.each([
  ['full', sharedGpu],
  ['modest', modestGpu],
] as const)('CausalLm on the %s device', (_, open) => {
  it('sees earlier tokens alone, row by row', async () => {
    const gpu = await open();
    const before = gpu.stats().liveBytes;
    const model = new CausalLm(new Initializer(gpu, { seed: 1 }), { ...config, initializerRange: 0.3 });
    const whole = await logitsOf(model, gpu, [1, 5, 2, 9, 3, 3, 7, 0, 1, 5, 2, 4, 3, 3, 7, 0], 2);
    const [first, second] = [whole.subarray(0, 88), whole.subarray(88)];
    expect(second.subarray(0, 33)).toEqual(first.subarray(0, 33));
    expect(second.subarray(33, 44)).not.toEqual(first.subarray(33, 44));
    expect(second.subarray(77)).not.toEqual(first.subarray(77));
    assertClose(await logitsOf(model, gpu, [1, 5, 2, 9, 3]), first.subarray(0, 55), { absolute: 1e-5 });
    model.dispose();
    expect(gpu.stats().liveBytes).toBe(before);
  });

  it('knows the order of tokens by rotation', async () => {
    const gpu = await open();
    const model = new CausalLm(new Initializer(gpu, { seed: 1 }), { ...config, initializerRange: 0.3 });
    const [one, other] = [await logitsOf(model, gpu, [1, 5, 2, 9]), await logitsOf(model, gpu, [5, 1, 2, 9])];
    expect(one.subarray(33)).not.toEqual(other.subarray(33));
    model.dispose();
  });

  it('trains parts of any kind, each from the one seed', async () => {
    const gpu = await open();
    const before = gpu.stats().liveBytes;
    const make = (seed: number) =>
      new CausalLm(new Initializer(gpu, { seed }), config, {
        attention: (layer, { hiddenSize }, init) =>
          layer === 0
            ? new RunningSum(init, hiddenSize)
            : new MultiHeadAttention(init, { hiddenSize, heads: 2, slidingWindow: 2, queryKeyNorm: true }),
      });
    const [model, same] = [make(3), make(3)];
    expect(await same.saveSafetensors()).toEqual(await model.saveSafetensors());
    const names = [...model.parameters().keys()];
    expect(names).toContain('model.layers.0.self_attn.in_proj.weight');
    expect(names).toContain('model.layers.1.self_attn.q_norm.weight');
    expect(names).not.toContain('lm_head.weight');
    const { loss, gradients } = gpu.tidy(() => {
      const [ids, targets] = [gpu.tensor([1, 2, 3, 4], [1, 4], 'u32'), gpu.tensor([2, 3, 4, 10], [1, 4], 'u32')];
      return moduleGradients(model, () => model.loss(ids, targets, { ignoreIndex: 10, counted: 3 }));
    });
    // Small weights predict evenly.
    expect(Math.abs(((await loss.read())[0] as number) - Math.log(11))).toBeLessThan(0.1);
    expect(Object.keys(gradients)).toEqual(names);
    for (const gradient of Object.values(gradients)) {
      expect((await gradient.read()).some((value) => value !== 0)).toBe(true);
      gradient.dispose();
    }
    loss.dispose();
    model.dispose();
    same.dispose();
    expect(gpu.stats().liveBytes).toBe(before);
  });
});

it('refuses what does not fit', async () => {
  const gpu = await sharedGpu();
  const make = (changed: Partial<CausalLmConfig>) => () =>
    new CausalLm(new Initializer(gpu), { ...config, ...changed });
  expect(make({ kvHeads: 3 })).toThrow(/CausalLm: kvHeads.*3/);
  expect(make({ headSize: 5 })).toThrow(ArgumentError);
  const model = make({})();
  const [long, floats] = [gpu.zeros([1, 10], 'u32'), gpu.zeros([1, 3])];
  expect(() => model.forward(long)).toThrow(ShapeError);
  expect(() => model.forward(floats)).toThrow(ShapeError);
  const rope = ropeTable(gpu, { rotarySize: 6, positions: 12 });
  const further = gpu.tidy(() => stopGradient(model.forward(long, { rope })));
  expect(further.shape).toEqual([1, 10, 11]);
  for (const each of [long, floats, further]) each.dispose();
  rope.dispose();
  model.dispose();
});

it('drops differently in each step and place, and the same again in the same', async () => {
  const gpu = await sharedGpu();
  const model = new CausalLm(new Initializer(gpu), { ...config, initializerRange: 0.3 });
  const ids = gpu.tensor([1, 2, 3], [1, 3], 'u32');
  const read = async (step: number) => {
    const logits = gpu.tidy(() => stopGradient(model.forward(ids, { dropout: { rate: 0.3, step } })));
    const data = await logits.read();
    logits.dispose();
    return data;
  };
  const [first, again, next] = [await read(0), await read(0), await read(1)];
  expect(again).toEqual(first);
  expect(next).not.toEqual(first);
  ids.dispose();
  model.dispose();
});

it('ties its head to the embedding or has one of its own', async () => {
  const gpu = await sharedGpu();
  const model = new CausalLm(new Initializer(gpu), { ...config, tieWordEmbeddings: false });
  const ids = gpu.tensor([4, 4], [1, 2], 'u32');
  const { logits, expected } = gpu.tidy(() => ({
    logits: stopGradient(model.forward(ids)),
    expected: linear(model.hidden(ids), (model.lm_head as Linear).weight.value) as Tensor,
  }));
  expect(await logits.read()).toEqual(await expected.read());
  for (const each of [ids, logits, expected]) each.dispose();
  model.dispose();
});

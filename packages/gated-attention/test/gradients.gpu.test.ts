import { readFileSync } from 'node:fs';
import { contiguous, ropeTable, type Tensor } from '@saccade/core';
import { multiply, sum } from '@saccade/core/autodiff';
import { AdamW, CausalLm, clipGradients, Initializer, moduleGradients } from '@saccade/core/nn';
import { assertClose, checkGradient, parseGoldenTensors, randomArray, sharedGpu } from '@saccade/core/testing';
import { expect, it } from 'vitest';
import { applyGate, GatedAttention, gatedAttentionReference } from '../src/index.ts';
import { contextOf, fill, input, referenceOf, sizes, testLayer } from './layer.ts';

const golden = (name: string) =>
  parseGoldenTensors(readFileSync(new URL(`./golden/${name}.safetensors`, import.meta.url)));

it('check 5: gradients of the gate match finite differences in f64, in every form', async () => {
  const gpu = await sharedGpu();
  const activations = {
    sigmoid: (z: number) => 1 / (1 + Math.exp(-z)),
    silu: (z: number) => z / (1 + Math.exp(-z)),
    nsSigmoid: (z: number) => 0.5 + 0.5 / (1 + Math.exp(-z)),
    identity: (z: number) => z,
  };
  for (const activation of ['sigmoid', 'silu', 'nsSigmoid', 'identity'] as const) {
    for (const mode of ['multiplicative', 'additive'] as const) {
      for (const width of [1, 4]) {
        await checkGradient(gpu, {
          name: `${activation}, ${mode}, ${width}`,
          inputs: [
            { data: randomArray(24, 1), shape: [1, 2, 3, 4] },
            { data: randomArray(6 * width, 2, { scale: 2 }), shape: [1, 2, 3, width] },
          ],
          fn: (y, logits) => applyGate(y, logits, { activation, mode }),
          reference: (y, logits) =>
            y.map((value, at) => {
              const gate = activations[activation](logits[width === 1 ? Math.floor(at / 4) : at] as number);
              return mode === 'additive' ? value + gate : value * gate;
            }),
        });
      }
    }
  }
});

it.each(['gate_proj.weight', 'x'])('check 5: the layer’s gradient by %s matches finite differences', async (name) => {
  const gpu = await sharedGpu();
  const made = testLayer(gpu);
  const reference = await referenceOf(made.layer);
  const [x, start] = [input(5), reference.parameters[name] ?? input(5)];
  const shape = name === 'x' ? [1, 5, sizes.hiddenSize] : [sizes.heads * sizes.headSize, sizes.hiddenSize];
  await checkGradient(gpu, {
    name,
    relative: 1e-3,
    inputs: [{ data: Float32Array.from(start), shape }],
    fn: (value) => {
      const forward = () =>
        made.layer.forward(name === 'x' ? value : gpu.tensor(x, [1, 5, sizes.hiddenSize]), made.context);
      return name === 'x' ? forward() : (made.layer.gate_proj?.weight.track(value, forward) ?? value);
    },
    reference: (value) =>
      name === 'x'
        ? gatedAttentionReference(reference, value).output
        : gatedAttentionReference({ ...reference, parameters: { ...reference.parameters, [name]: value } }, x).output,
  });
  made.dispose();
});

it.each(['elementwise', 'headwise'] as const)(
  'check 5: outputs and gradients are PyTorch’s, %s',
  async (granularity) => {
    const gpu = await sharedGpu();
    const tensors = golden('layers');
    const of = (name: string) => Float64Array.from(tensors(`${granularity}.${name}`).data);
    const rope = ropeTable(gpu, { rotarySize: 8, positions: 9 });
    const layer = new GatedAttention(new Initializer(gpu), {
      hiddenSize: 24,
      heads: 4,
      kvHeads: 2,
      headSize: 8,
      queryKeyNorm: true,
      normEpsilon: 1e-6,
      granularity,
    });
    for (const [name, parameter] of layer.parameters()) fill(parameter, of(name));
    const { gradients, loss } = gpu.tidy(() => {
      const [x, w] = [gpu.tensor(of('x'), [2, 9, 24]), gpu.tensor(of('w'), [2, 9, 24])];
      return moduleGradients(layer, () => sum(multiply(layer.forward(x, contextOf(rope)), w)));
    });
    const out = of('out');
    const expectedLoss = of('w').reduce((total, value, at) => total + value * (out[at] as number), 0);
    assertClose((await loss.read()) as Float32Array, [expectedLoss], { relative: 1e-4, absolute: 1e-3, name: 'loss' });
    for (const [name, gradient] of Object.entries(gradients)) {
      const expected = of(`grad.${name}`);
      const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      assertClose((await gradient.read()) as Float32Array, expected, {
        absolute: 1e-5 * largest,
        relative: 1e-3,
        name,
      });
      gradient.dispose();
    }
    loss.dispose();
    layer.dispose();
    rope.dispose();
  },
);

it('training from PyTorch’s weights on its batches gives its losses within 1%', async () => {
  const gpu = await sharedGpu();
  const tensors = golden('training');
  const model = new CausalLm(
    new Initializer(gpu),
    {
      vocabularySize: 64,
      hiddenSize: 32,
      layers: 2,
      heads: 6,
      kvHeads: 2,
      headSize: 8,
      intermediateSize: 48,
      contextLength: 48,
      queryKeyNorm: true,
      normEpsilon: 1e-6,
    },
    { attention: (_, config, init) => new GatedAttention(init, config) },
  );
  for (const [name, parameter] of model.parameters()) fill(parameter, tensors(name).data);
  const optimizer = new AdamW(model.parameters(), {
    learningRate: 1e-2,
    betas: [0.9, 0.95],
    weightDecay: 0.1,
    groups: [{ match: /norm/, weightDecay: 0 }],
  });
  const { data: batches, shape } = tensors('batches');
  const [steps, rows, length] = shape as [number, number, number];
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    const loss = gpu.tidy(() => {
      const whole = gpu.tensor(batches.slice(step * rows * length, (step + 1) * rows * length), [rows, length], 'u32');
      const [ids, targets] = [0, 1].map((from) => contiguous(whole.slice(1, from, from + length - 1))) as [
        Tensor,
        Tensor,
      ];
      const result = moduleGradients(model, () => model.loss(ids, targets));
      optimizer.step(clipGradients(result.gradients, 1).gradients, Math.min(1, (step + 1) / 5));
      return result.loss;
    });
    losses.push((await loss.read())[0] as number);
    loss.dispose();
  }
  const expected = tensors('losses').data;
  assertClose(losses, expected, { relative: 0.01, absolute: 0 });
  // The curve must have moved for the comparison to mean anything.
  expect(losses.at(-1)).toBeLessThan((losses[0] as number) - 0.2);
  optimizer.dispose();
  model.dispose();
});

import { parseOptions, ShapeError, type Tensor } from '@saccade/core';
import { assertClose, modestGpu, randomArray, sharedGpu } from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import { applyGate, gatedAttentionOptions, gatedAttentionReference, gateParameters } from '../src/index.ts';
import { fill, gatesOf, input, referenceOf, run, sizes, testLayer } from './layer.ts';

const { hiddenSize, heads, headSize } = sizes;

describe.each([
  ['full', sharedGpu],
  ['modest', modestGpu],
] as const)('the gate on the %s device', (_, open) => {
  it('check 1: logits of 0 halve, of 40 change nothing, of -40 silence that head alone', async () => {
    const gpu = await open();
    const before = gpu.stats().liveBytes;
    const [y, shape] = [randomArray(5 * 4 * 6, 3), [1, 5, 4, 6]];
    const through = async (logits: number[]) => {
      const out = gpu.tidy(() => applyGate(gpu.tensor(y, shape), gpu.tensor(logits, [1, 5, 4, 1])) as Tensor);
      const data = (await out.read()) as Float32Array;
      out.dispose();
      return data;
    };
    expect(await through(new Array(20).fill(0))).toEqual(y.map((value) => value / 2));
    assertClose(await through(new Array(20).fill(40)), y, { relative: 1e-5, absolute: 1e-6 });
    // Token 3, head 1.
    const closed = await through(Array.from({ length: 20 }, (__, at) => (at === 3 * 4 + 1 ? -40 : 40)));
    const own = (at: number) => Math.floor(at / 6) === 3 * 4 + 1;
    assertClose(
      closed,
      y.map((value, at) => (own(at) ? 0 : value)),
      { absolute: 1e-6 },
    );
    expect(gpu.stats().liveBytes).toBe(before);
  });

  it('check 1: so does a layer as a whole', async () => {
    const gpu = await open();
    const [gated, plain] = [testLayer(gpu, { source: 'parameter' }), testLayer(gpu, { source: 'none' })];
    const x = input(7);
    const expected = await run(plain, x);
    assertClose(
      await run(gated, x),
      expected.map((value) => value / 2),
      { absolute: 1e-5 },
    );
    fill(gated.layer.gate_logits, new Array(heads * headSize).fill(40));
    assertClose(await run(gated, x), expected, { absolute: 1e-5 });
    gated.dispose();
    plain.dispose();
  });

  it('check 2: elementwise logits that are equal in a head are one of the head', async () => {
    const gpu = await open();
    const [elementwise, headwise] = [testLayer(gpu), testLayer(gpu, { granularity: 'headwise' })];
    const rows = randomArray(heads * hiddenSize, 9);
    fill(headwise.layer.gate_proj?.weight, rows);
    const repeated = Array.from({ length: heads * headSize * hiddenSize }, (__, at) => {
      const head = Math.floor(at / (headSize * hiddenSize));
      return rows[head * hiddenSize + (at % hiddenSize)] as number;
    });
    fill(elementwise.layer.gate_proj?.weight, repeated);
    assertClose(await run(elementwise, input(7)), await run(headwise, input(7)), { absolute: 1e-6 });
    elementwise.dispose();
    headwise.dispose();
  });

  it('is one dispatch, over views too', async () => {
    const gpu = await open();
    const [y, logits] = [gpu.tensor(randomArray(60, 1), [1, 3, 5, 4]), gpu.tensor(randomArray(15, 2), [1, 5, 3, 1])];
    const before = gpu.stats().dispatches;
    const out = gpu.tidy(() => applyGate(y.transpose(0, 2, 1, 3), logits) as Tensor);
    expect(gpu.stats().dispatches - before).toBe(1);
    expect(out.shape).toEqual([1, 5, 3, 4]);
    for (const tensor of [y, logits, out]) tensor.dispose();
  });
});

it('check 4: a later token sees another gate of its own at g1; at g2 it sees another value of the changed token', async () => {
  const gpu = await sharedGpu();
  const x = input(6);
  const changed = x.map((value, at) => (Math.floor(at / hiddenSize) === 2 ? -value : value));
  for (const position of ['g1', 'g2'] as const) {
    const made = testLayer(gpu, { position });
    const [gates, others] = [
      await gatesOf(made.layer, () => run(made, x)),
      await gatesOf(made.layer, () => run(made, changed)),
    ];
    const width = (gates[0] as Float32Array).length / 6;
    const differing = new Set<number>();
    (gates[0] as Float32Array).forEach((value, at) => {
      if (value !== others[0]?.[at]) differing.add(Math.floor(at / width));
    });
    expect([...differing]).toEqual([2]);
    made.dispose();
  }
  // With attention that looks at nothing in particular, every later output changes through the value of token 2.
  const made = testLayer(gpu, { position: 'g2' });
  fill(made.layer.q_proj.weight, new Float32Array(heads * headSize * hiddenSize));
  const [one, other] = [await run(made, x), await run(made, changed)];
  const rows = new Set(
    Array.from(one.keys())
      .filter((at) => one[at] !== other[at])
      .map((at) => Math.floor(at / hiddenSize)),
  );
  expect([...rows]).toEqual([2, 3, 4, 5]);
  made.dispose();
});

it('check 4: a constant gate folds into W_o', async () => {
  const gpu = await sharedGpu();
  const [gated, folded] = [testLayer(gpu, { source: 'parameter' }), testLayer(gpu, { source: 'none' })];
  const logits = randomArray(heads * headSize, 12, { scale: 2 });
  fill(gated.layer.gate_logits, logits);
  const weight = (await gated.layer.o_proj.weight.tensor.read()) as Float32Array;
  const columns = heads * headSize;
  fill(
    folded.layer.o_proj.weight,
    weight.map((value, at) => value / (1 + Math.exp(-(logits[at % columns] as number)))),
  );
  assertClose(await run(gated, input(8)), await run(folded, input(8)), { absolute: 1e-5 });
  gated.dispose();
  folded.dispose();
});

it('check 6: with one key, attention is linear, and the gate is what is not', async () => {
  const gpu = await sharedGpu();
  const [gated, plain] = [testLayer(gpu), testLayer(gpu, { source: 'none' })];
  const x = input(1);
  const twice = x.map((value) => 2 * value);
  const linear = await run(plain, x);
  assertClose(
    await run(plain, twice),
    linear.map((value) => 2 * value),
    { absolute: 1e-5 },
  );
  const [once, doubled] = [await run(gated, x), await run(gated, twice)];
  expect(Math.max(...doubled.map((value, at) => Math.abs(value - 2 * (once[at] as number))))).toBeGreaterThan(0.05);
  // f(x) = W_o (sigmoid(W_g x) * W_v x)
  const { parameters } = await referenceOf(gated.layer);
  const product = (name: string, rows: number, input: ArrayLike<number>) =>
    Array.from({ length: rows }, (_, row) => {
      const weight = parameters[name] as ArrayLike<number>;
      let sum = 0;
      for (let i = 0; i < input.length; i++) sum += (weight[row * input.length + i] as number) * (input[i] as number);
      return sum;
    });
  const values = product('v_proj.weight', sizes.kvHeads * headSize, x);
  const gates = product('gate_proj.weight', heads * headSize, x).map((z) => 1 / (1 + Math.exp(-z)));
  // Query heads 0 and 1 share the first value head.
  const mixed = gates.map(
    (gate, at) => gate * (values[Math.floor(at / (2 * headSize)) * headSize + (at % headSize)] as number),
  );
  assertClose(once, product('o_proj.weight', hiddenSize, mixed), { absolute: 1e-5 });
  gated.dispose();
  plain.dispose();
});

it('check 7: parameters of the paper’s mixture of experts, and of a layer that is made', async () => {
  const moe = { hiddenSize: 2048, heads: 32, kvHeads: 4, headSize: 128 };
  const count = (granularity: 'elementwise' | 'headwise') =>
    24 * gateParameters(moe, parseOptions(gatedAttentionOptions, { granularity }));
  expect(count('elementwise')).toBe(201_326_592);
  expect(count('headwise')).toBe(1_572_864);
  const gpu = await sharedGpu();
  for (const options of [
    {},
    { granularity: 'headwise' },
    { position: 'g2' },
    { position: 'g5' },
    { source: 'parameter', position: 'g4' },
    { source: 'norm' },
    { source: 'self' },
  ] as const) {
    const [made, plain] = [testLayer(gpu, options), testLayer(gpu, { source: 'none' })];
    const total = ({ layer }: typeof made) => [...layer.stateDict().values()].reduce((sum, { size }) => sum + size, 0);
    expect(total(made) - total(plain)).toBe(gateParameters(sizes, made.layer.options));
    made.dispose();
    plain.dispose();
  }
});

describe('every variant equals its definition', () => {
  it.each([
    {},
    { granularity: 'headwise' },
    { headSpecific: false },
    { granularity: 'headwise', headSpecific: false },
    { position: 'g2' },
    { position: 'g2', granularity: 'headwise', queryKeyNorm: true },
    { position: 'g3', queryKeyNorm: true },
    { position: 'g4', granularity: 'headwise', queryKeyNorm: true },
    { position: 'g4' },
    { position: 'g5' },
    { mode: 'additive', activation: 'silu' },
    { activation: 'silu' },
    { activation: 'nsSigmoid' },
    { activation: 'identity' },
    { mode: 'additive', activation: 'nsSigmoid', granularity: 'headwise' },
    { source: 'parameter', granularity: 'headwise' },
    { source: 'norm' },
    { source: 'self' },
    { source: 'none', queryKeyNorm: true },
  ] as const)('%j', async (options) => {
    const gpu = await sharedGpu();
    const before = gpu.stats().liveBytes;
    const made = testLayer(gpu, options);
    if (made.layer.gate_logits) fill(made.layer.gate_logits, randomArray(made.layer.gate_logits.tensor.size, 4));
    const reference = await referenceOf(made.layer);
    const [first, second] = [input(9, 21), input(9, 22)];
    const output = await run(made, [...first, ...second], 2);
    const expected = [first, second].flatMap((x) => [...gatedAttentionReference(reference, x).output]);
    assertClose(output, expected, { absolute: 2e-5, relative: 1e-5 });
    made.dispose();
    expect(gpu.stats().liveBytes).toBe(before);
  });
});

it('refuses what does not fit', async () => {
  const gpu = await sharedGpu();
  const [y, logits] = [gpu.zeros([1, 2, 3, 4]), gpu.zeros([1, 2, 3, 2])];
  expect(() => applyGate(y, logits)).toThrow(ShapeError);
  expect(() => testLayer(gpu, { activation: 'swish' as 'silu' })).toThrow(/activation.*swish.*sigmoid/);
  expect(() => testLayer(gpu, { position: 'g5', granularity: 'headwise' })).toThrow(/g5 has no heads/);
  expect(() => testLayer(gpu, { source: 'self', headSpecific: false })).toThrow(/self with a gate that heads share/);
  y.dispose();
  logits.dispose();
});

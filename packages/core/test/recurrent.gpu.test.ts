import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as ad from '../src/autodiff/index.ts';
import { ArgumentError, copyInto, gru, lstm, ShapeError, type Tensor } from '../src/index.ts';
import {
  BatchNorm,
  Conv2d,
  ConvTranspose2d,
  GroupNorm,
  Gru,
  GruCell,
  Initializer,
  Lstm,
  LstmCell,
  Module,
  moduleGradients,
} from '../src/nn/index.ts';
import {
  assertClose,
  checkGradient,
  gruReference,
  lstmReference,
  modestGpu,
  randomArray,
  sharedGpu,
} from '../src/testing/index.ts';
import { goldenTensors } from './golden-tensors.ts';

const golden = goldenTensors('layers');
const random = (shape: readonly number[], seed: number) => ({
  shape,
  data: randomArray(
    shape.reduce((product, size) => product * size, 1),
    seed,
  ),
});

/** Layers of PyTorch's state dict of the same names. */
class Model extends Module {
  readonly conv: Conv2d;
  readonly norm: BatchNorm;
  readonly group: GroupNorm;
  readonly up: ConvTranspose2d;
  readonly rnn: Lstm;
  readonly gru: Gru;

  constructor(init: Initializer) {
    super();
    this.conv = new Conv2d(init, { inputs: 2, outputs: 6, kernel: 3, stride: 2, padding: 1, groups: 2 });
    this.norm = new BatchNorm(init, { size: 6 });
    this.group = new GroupNorm(init, { groups: 3, size: 6 });
    this.up = new ConvTranspose2d(init, { inputs: 6, outputs: 4, kernel: 2, stride: 2 });
    this.rnn = new Lstm(init, { inputs: 4, hidden: 5 });
    this.gru = new Gru(init, { inputs: 5, hidden: 3 });
  }

  forward(x: ad.Value): ad.Value {
    const maps = this.up.forward(ad.relu(this.group.forward(this.norm.forward(this.conv.forward(x)))));
    const steps = ad.mean(maps, { axis: 2 }).transpose(0, 2, 1);
    return this.gru.forward(this.rnn.forward(steps).output).output;
  }
}

describe.each([
  ['full', sharedGpu],
  ['modest', modestGpu],
] as const)('recurrent layers on the %s device', (_, open) => {
  it.each([false, true])('all states and their gradients, reverse: %s', async (reverse) => {
    const gpu = await open();
    const before = gpu.stats().liveBytes;
    const sizes = { steps: 3, batches: 2, hidden: 3, reverse };
    await checkGradient(gpu, {
      name: 'lstm',
      inputs: [random([3, 2, 12], 1), random([12, 3], 2), random([12], 3), random([2, 3], 4), random([2, 3], 5)],
      fn: (gates, weight, bias, hidden, cell) => ad.lstm(gates, { weight, bias }, { hidden, cell }, { reverse }),
      reference: (gates, weight, bias, hidden, cell) => lstmReference(gates, { weight, bias }, { hidden, cell }, sizes),
    });
    await checkGradient(gpu, {
      name: 'gru',
      inputs: [random([3, 2, 9], 6), random([9, 3], 7), random([9], 8), random([2, 3], 9)],
      fn: (gates, weight, bias, hidden) => ad.gru(gates, { weight, bias }, hidden, { reverse }),
      reference: (gates, weight, bias, hidden) => gruReference(gates, { weight, bias }, hidden, sizes),
    });
    expect(gpu.stats().liveBytes).toBe(before);
  });

  it.each(['lstm', 'gru'] as const)(
    "%s in both directions gives PyTorch's outputs, states and gradients",
    async (name) => {
      const gpu = await open();
      const before = gpu.stats().liveBytes;
      const settings = { inputs: 3, hidden: 4, layers: 2, bidirectional: true };
      const module =
        name === 'lstm' ? new Lstm(new Initializer(gpu), settings) : new Gru(new Initializer(gpu), settings);
      const upload = (role: string) => gpu.tensor(golden(`${name}.${role}`).data, golden(`${name}.${role}`).shape);
      const names = [...module.parameters().keys()];
      expect(names.slice(3, 5)).toEqual(['bias_hh_l0', 'weight_ih_l0_reverse']);
      const run = (x: ad.Value, hidden: ad.Value, cell: ad.Value) => {
        const found = module instanceof Lstm ? module.forward(x, { hidden, cell }) : module.forward(x, hidden);
        return ad.concatenate(Object.values(found).map((value: ad.Value) => value.reshape([value.size])));
      };
      const results: Readonly<Record<string, Tensor>> = gpu.tidy(() => {
        for (const [role, { tensor }] of module.parameters()) copyInto(tensor, upload(role));
        const [x, h, c] = [upload('x'), upload('h'), upload(name === 'lstm' ? 'c' : 'h')];
        const weigh = (value: ad.Value) => ad.sum(ad.multiply(value, upload('probe')));
        const byParameters = moduleGradients(module, () => weigh(run(x, h, c))).gradients;
        const [byX, byH, byC] = ad.valueAndGrad((...inputs) => weigh(run(...inputs)), x, h, c).gradients;
        const gradients = { ...byParameters, x: byX, h: byH, ...(name === 'lstm' ? { c: byC } : {}) };
        return {
          ...Object.fromEntries(
            Object.entries(gradients).map(([role, gradient]) => [`${name}.grad.${role}`, gradient]),
          ),
          [`${name}.out`]: ad.stopGradient(run(x, h, c)),
        };
      });
      expect(Object.keys(results)).toHaveLength(names.length + (name === 'lstm' ? 4 : 3));
      for (const [role, tensor] of Object.entries(results)) {
        assertClose(await tensor.read(), golden(role).data, { relative: 1e-4, absolute: 1e-5, name: role });
        tensor.dispose();
      }
      module.dispose();
      expect(gpu.stats().liveBytes).toBe(before);
    },
  );

  it('cells are one step', async () => {
    const gpu = await open();
    const before = gpu.stats().liveBytes;
    const settings = { inputs: 3, hidden: 4 };
    const results = gpu.tidy(() => {
      const [x, hidden, cell] = [5, 6, 7].map((seed, kind) => {
        const { data, shape } = random([2, kind === 0 ? 3 : 4], seed);
        return gpu.tensor(data, shape);
      }) as [ad.Value, ad.Value, ad.Value];
      const one = (value: ad.Value) => value.reshape([1, ...value.shape]);
      const step = x.reshape([2, 1, 3]);
      const lstmCell = new LstmCell(new Initializer(gpu, { seed: 3 }), settings);
      const lstmLayer = new Lstm(new Initializer(gpu, { seed: 3 }), settings);
      const gruCell = new GruCell(new Initializer(gpu, { seed: 4 }), settings);
      const gruLayer = new Gru(new Initializer(gpu, { seed: 4 }), settings);
      expect([...gruCell.parameters().keys()]).toEqual(['weight_ih', 'weight_hh', 'bias_ih', 'bias_hh']);
      const next = lstmCell.forward(x, { hidden, cell });
      const ends = lstmLayer.forward(step, { hidden: one(hidden), cell: one(cell) });
      const pairs = [
        [next.hidden, ends.hidden],
        [next.cell, ends.cell],
        [gruCell.forward(x, hidden), gruLayer.forward(step, one(hidden)).output],
      ] as const;
      for (const module of [lstmCell, lstmLayer, gruCell, gruLayer]) module.dispose();
      return pairs.map((pair) => pair.map(ad.stopGradient));
    });
    for (const [own, expected] of results) {
      expect(await own?.read()).toEqual(await expected?.read());
      own?.dispose();
      expected?.dispose();
    }
    expect(gpu.stats().liveBytes).toBe(before);
  });

  it("a model of all layers loads PyTorch's state dict and gives its results", async () => {
    const gpu = await open();
    const before = gpu.stats().liveBytes;
    const model = new Model(new Initializer(gpu)).eval();
    model.loadSafetensors(readFileSync(new URL('./golden/layers-state.safetensors', import.meta.url)));
    expect(await model.norm.num_batches_tracked.tensor.read()).toEqual(new Int32Array([1]));
    const { data, shape } = golden('model.x');
    const out = gpu.tidy(() => ad.stopGradient(model.forward(gpu.tensor(data, shape))));
    expect(out.shape).toEqual(golden('model.out').shape);
    assertClose(await out.read(), golden('model.out').data, { absolute: 1e-5 });
    out.dispose();
    model.dispose();
    expect(gpu.stats().liveBytes).toBe(before);
  });
});

it('errors name the op and both shapes', async () => {
  const gpu = await sharedGpu();
  gpu.tidy(() => {
    const [gates, weight, state] = [gpu.zeros([3, 2, 12]), gpu.zeros([12, 3]), gpu.zeros([2, 3])];
    const first = { hidden: state, cell: state };
    expect(() => lstm(gates, { weight: state }, first)).toThrow(/lstm: input gates \[3,2,12\] and weight \[2,3\]/);
    expect(() => lstm(gates, { weight }, { ...first, cell: weight })).toThrow(
      /\[12,3\]; the gates \[3,2,12\] ask for \[2,3\]/,
    );
    expect(() => gru(gates, { weight }, state)).toThrow(ShapeError);
    expect(() => lstm(gates, { weight, bias: state }, first)).toThrow(ShapeError);
    expect(() => new Gru(new Initializer(gpu), { inputs: 2, hidden: 2, layers: 0 })).toThrow(ArgumentError);
  });
});

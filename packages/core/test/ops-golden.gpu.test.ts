import { describe, expect, it } from 'vitest';
import {
  embedding,
  gatedActivation,
  gelu,
  layerNorm,
  logSoftmax,
  type RopeScaling,
  rmsNorm,
  rope,
  ropeTable,
  silu,
  softmax,
} from '../src/index.ts';
import { assertClose, modestGpu, sharedGpu } from '../src/testing/index.ts';
import { goldenTensors } from './golden-tensors.ts';

const golden = goldenTensors('ops');

describe.each([
  ['full', sharedGpu],
  ['modest', modestGpu],
] as const)("ops against PyTorch's results on the %s device", (_, open) => {
  it('norms, activations and softmax', async () => {
    const gpu = await open();
    const upload = (name: string) => gpu.tensor(golden(name).data, golden(name).shape);
    const results = gpu.tidy(() => {
      const [x, weight, bias] = [upload('norm.x'), upload('norm.weight'), upload('norm.bias')];
      const [gate, up, scores] = [upload('activation.x'), upload('activation.up'), upload('softmax.x')];
      return {
        'rms_norm.out': rmsNorm(x, weight, { epsilon: 1e-5 }),
        'layer_norm.out': layerNorm(x, weight, bias, { epsilon: 1e-5 }),
        'silu.out': silu(gate),
        'gelu.out': gelu(gate),
        'gelu_tanh.out': gelu(gate, { approximate: 'tanh' }),
        'silu_gated.out': gatedActivation(gate, up, { activation: 'silu' }),
        'softmax.out': softmax(scores),
        'log_softmax.out': logSoftmax(scores),
      };
    });
    for (const [name, result] of Object.entries(results)) {
      assertClose(await result.read(), golden(name).data, { relative: 2e-5, absolute: 2e-6, name });
      result.dispose();
    }
  });

  const scalings: readonly { readonly variant: string; readonly positions: number; readonly scaling?: RopeScaling }[] =
    [
      { variant: 'default', positions: 256 },
      { variant: 'linear', positions: 256, scaling: { type: 'linear', factor: 2.5 } },
      { variant: 'dynamic', positions: 256, scaling: { type: 'dynamic', factor: 2, originalContext: 64 } },
      {
        variant: 'llama3',
        positions: 256,
        scaling: { type: 'llama3', factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalContext: 64 },
      },
      { variant: 'yarn', positions: 256, scaling: { type: 'yarn', factor: 4, originalContext: 64 } },
    ];
  it.each(scalings)('rope $variant', async ({ variant, positions, scaling }) => {
    const gpu = await open();
    const list = golden('rope.positions').data;
    expect(Math.max(...list)).toBeLessThan(positions);
    const table = ropeTable(gpu, { rotarySize: 64, positions, ...(scaling ? { scaling } : {}) });
    const results = gpu.tidy(() => {
      const at = gpu.tensor(list, [list.length], 'u32');
      const x = gpu.tensor(golden('rope.x').data, golden('rope.x').shape);
      return { out: rope(x, table, { positions: at }), cos: embedding(table.cos, at), sin: embedding(table.sin, at) };
    });
    for (const part of ['cos', 'sin', 'out'] as const) {
      const name = `rope.${variant}.${part}`;
      // PyTorch multiplies position and frequency in f32: an angle of 255 is known to 1.5e-5.
      assertClose(await results[part].read(), golden(name).data, { absolute: part === 'out' ? 1e-4 : 2e-5, name });
      results[part].dispose();
    }
    table.dispose();
  });
});

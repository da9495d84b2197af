import { describe, it } from 'vitest';
import * as ad from '../src/autodiff/index.ts';
import type { Gpu, Tensor } from '../src/index.ts';
import { assertClose, modestGpu, sharedGpu } from '../src/testing/index.ts';
import { goldenTensors } from './golden-tensors.ts';

const golden = goldenTensors('training');

/** Inputs of a case by name. */
function inputs<const N extends string>(gpu: Gpu, test: string, names: readonly N[]) {
  const tensors = names.map((name) => {
    const { data, shape } = golden(`${test}.${name}`);
    return [name, gpu.tensor(data, shape)] as const;
  });
  return Object.fromEntries(tensors) as Record<N, ReturnType<Gpu['tensor']>>;
}

const indices = (gpu: Gpu, name: string) => gpu.tensor(golden(name).data, golden(name).shape, 'u32');

async function compare(
  test: string,
  found: { readonly value: Tensor; readonly gradients: readonly [Readonly<Record<string, Tensor>>] },
) {
  assertClose(await found.value.read(), golden(`${test}.loss`).data, { relative: 1e-5, name: test });
  found.value.dispose();
  for (const [name, gradient] of Object.entries(found.gradients[0])) {
    const expected = golden(`${test}.grad.${name}`).data;
    const largest = Math.max(...Array.from(expected, Math.abs));
    assertClose(await gradient.read(), expected, {
      relative: 1e-4,
      absolute: 2e-6 * largest,
      name: `${test} by ${name}`,
    });
    gradient.dispose();
  }
}

describe.each([
  ['full', sharedGpu],
  ['modest', modestGpu],
] as const)("gradients against PyTorch's on the %s device", (_, open) => {
  it('embedding, layer norm, MLP with a residual, cross-entropy with ignored rows and smoothing', async () => {
    const gpu = await open();
    const found = gpu.tidy(() => {
      const names = ['table', 'scale', 'shift', 'up', 'up_bias', 'down', 'head'] as const;
      const [ids, targets] = [indices(gpu, 'classifier.ids'), indices(gpu, 'classifier.targets')];
      return ad.valueAndGrad(
        (p) => {
          const x = ad.embedding(p.table, ids);
          const hidden = ad.gelu(ad.linear(ad.layerNorm(x, p.scale, p.shift), p.up, { bias: p.up_bias }));
          const logits = ad.linear(ad.linear(hidden, p.down, { residual: x }), p.head);
          return ad.sum(ad.crossEntropy(logits, targets, { ignoreIndex: 12, labelSmoothing: 0.1 }));
        },
        inputs(gpu, 'classifier', names),
      );
    });
    await compare('classifier', found);
  });

  it('RMS norm, attention out of its parts, a gated MLP, running sums', async () => {
    const gpu = await open();
    const found = gpu.tidy(() =>
      ad.valueAndGrad(
        (p) => {
          const y = ad.rmsNorm(p.x, p.norm);
          const scores = ad.scale(ad.matmul(ad.linear(y, p.q), ad.linear(y, p.k).transpose()), 1 / 4);
          const mixed = ad.matmul(ad.softmax(scores), y);
          const gated = ad.gatedActivation(ad.linear(mixed, p.gate), ad.linear(mixed, p.up), { activation: 'silu' });
          const logs = ad.log(ad.sum(ad.exp(mixed), { axis: -1 }));
          return ad.add(ad.mean(ad.square(ad.prefixSum(gated))), ad.sum(logs));
        },
        inputs(gpu, 'attention', ['x', 'norm', 'q', 'k', 'gate', 'up']),
      ),
    );
    await compare('attention', found);
  });
});

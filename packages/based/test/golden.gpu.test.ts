import { readFileSync } from 'node:fs';
import type { Tensor } from '@saccade/core';
import { crossEntropy, mean } from '@saccade/core/autodiff';
import { Initializer, moduleGradients } from '@saccade/core/nn';
import { assertClose, modestGpu, parseGoldenTensors, sharedGpu } from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import { BasedModel } from '../src/index.ts';

const golden = parseGoldenTensors(readFileSync(new URL('golden/based-model.safetensors', import.meta.url)));

describe.each([
  ['full', sharedGpu],
  ['modest', modestGpu],
] as const)('on the %s device', (_, open) => {
  it('check 7: logits and the gradients of all parameters are PyTorch’s', async () => {
    const gpu = await open();
    const model = new BasedModel(new Initializer(gpu, { seed: 11 }), {
      vocabularySize: 13,
      hiddenSize: 16,
      heads: 2,
      featureDim: 4,
      windowSize: 6,
      mlpRatio: 0,
      chunk: 8,
      layers: ['conv', 'linear', 'window', 'attention'],
    });
    const { logits, loss, gradients } = gpu.tidy(() => {
      const ids = gpu.tensor(golden('ids').data, [2, 21], 'u32');
      const targets = gpu.tensor(golden('targets').data, [42], 'u32');
      const lossOf = () => mean(crossEntropy(model.forward(ids).reshape([42, 13]), targets));
      return { logits: model.forward(ids) as Tensor, ...moduleGradients(model, lossOf) };
    });
    assertClose(await logits.read(), golden('logits').data, { relative: 1e-4, absolute: 1e-5, name: 'logits' });
    assertClose(await loss.read(), golden('loss').data, { relative: 1e-5, name: 'loss' });
    expect(Object.keys(gradients).length).toBe(model.parameters().size);
    for (const [name, gradient] of Object.entries(gradients)) {
      const { data } = golden(`grad.${name}`);
      const largest = Math.max(...Array.from(data, Math.abs));
      assertClose(await gradient.read(), data, { relative: 1e-3, absolute: 1e-5 * largest, name });
    }
    for (const each of [logits, loss, ...Object.values(gradients), model]) each.dispose();
  });
});

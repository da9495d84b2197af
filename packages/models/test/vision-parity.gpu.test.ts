import type { Tensor } from '@saccade/core';
import { assertClose, sharedGpu } from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import { goldenVision, loadGoldenVision, visionFolders } from './golden-vision.ts';

/** Logits are of size 10 to 30 here, behind two networks. */
const tolerance = { absolute: 5e-4, relative: 1e-4 };

describe('parity of models that see with transformers', () => {
  it.each(visionFolders)('%s: ids, prefill and decoding, with one image and with two', async (name) => {
    const gpu = await sharedGpu();
    const { tensors, prompts, images } = goldenVision(name);
    const model = await loadGoldenVision(gpu, name);
    for (const [prefix, given] of [
      ['one', images.slice(0, 1)],
      ['two', images],
    ] as const) {
      const encoded = await model.encode({ messages: prompts[prefix], images: given });
      expect(encoded.ids).toEqual([...tensors(`${prefix}.input_ids`).data]);
      const expected = tensors(`${prefix}.logits`);
      const vocabulary = expected.shape[1] as number;
      if (prefix === 'one') {
        const logits = await model.logits(encoded);
        assertClose(await logits.read(), expected.data, { ...tolerance, name: `${name} ${prefix} prefill` });
        logits.dispose();
      }
      const prompt = await model.prefill(encoded);
      const last = (expected.data as Float32Array).subarray(-vocabulary);
      assertClose(await prompt.nextLogits.read(), last, { ...tolerance, name: `${name} ${prefix} last row` });
      const steps = tensors(`${prefix}.continuation_logits`).data as Float32Array;
      const ids = [...tensors(`${prefix}.continuation_ids`).data];
      for (const [step, id] of ids.slice(0, -1).entries()) {
        const result = gpu.tidy(() => model.forward([id], { cache: prompt.kv }).logits as Tensor);
        const row = steps.subarray((step + 1) * vocabulary, (step + 2) * vocabulary);
        assertClose(await result.read(), row, { ...tolerance, name: `${name} ${prefix} step ${step}` });
        result.dispose();
      }
      prompt.dispose();
      // The loop that records its commands once.
      const told: number[] = [];
      for await (const piece of model.generate(encoded, { maxTokens: ids.length, ignoreEndOfText: true })) {
        told.push(...piece.ids);
      }
      expect(told).toEqual(ids);
      encoded.dispose();
    }
    model.dispose();
  });
});

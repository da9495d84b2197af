import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { argsort, prefixSum, topK } from '../src/index.ts';
import { assertClose, parseGoldenTensors, sharedGpu } from '../src/testing/index.ts';

const golden = parseGoldenTensors(readFileSync(new URL('golden/ops.safetensors', import.meta.url)));

describe('selection as PyTorch does it', () => {
  it('topK, argsort and prefixSum', async () => {
    const gpu = await sharedGpu();
    const input = golden('selection.x');
    const x = gpu.tensor(input.data, input.shape);
    const results = gpu.tidy(() => {
      const { values, indices } = topK(x, 17);
      return [values, indices, argsort(x), argsort(x, { descending: true }), prefixSum(x)];
    });
    const found = await gpu.read(results);
    const names = ['top_k.values', 'top_k.indices', 'argsort.out', 'argsort_descending.out'];
    names.forEach((name, at) => {
      expect(Array.from(found[at] ?? []), name).toEqual(Array.from(golden(name).data));
    });
    assertClose(found[4] ?? [], golden('cumsum.out').data, { absolute: 1e-4, relative: 1e-5, name: 'cumsum' });
    for (const tensor of [x, ...results]) tensor.dispose();
  });
});

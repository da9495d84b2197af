import { describe, expect, it } from 'vitest';
import { ArgumentError, normalNumbers, randomNormal, randomUniform, uniformNumbers } from '../src/index.ts';
import { assertClose, modestGpu } from '../src/testing/index.ts';

const sizes = [0, 1, 2, 31, 33, 255, 257, 4099, 65_537];
const places = [
  { seed: 1 },
  { seed: 0xffff_ffff_ffff_ffffn, stream: 0xffff_ffff, offset: 3 },
  // The block number carries into its upper word inside the tensor.
  { seed: 2, offset: 4 * 2 ** 32 - 70 },
];

describe('randomUniform', () => {
  it('has the bits that the host has', async () => {
    const gpu = await modestGpu();
    for (const size of sizes) {
      for (const place of places) {
        const tensor = randomUniform(gpu, [size], place);
        expect(await tensor.read()).toEqual(uniformNumbers(size, place));
        tensor.dispose();
      }
    }
  });

  it('fills any shape', async () => {
    const gpu = await modestGpu();
    const tensor = randomUniform(gpu, [3, 5, 7], { seed: 4 });
    expect(tensor.shape).toEqual([3, 5, 7]);
    expect(await tensor.read()).toEqual(uniformNumbers(105, { seed: 4 }));
    tensor.dispose();
    expect(() => randomUniform(gpu, [2], { stream: -1 })).toThrow(ArgumentError);
    expect(() => randomUniform(gpu, [-2])).toThrow(ArgumentError);
  });
});

describe('randomNormal', () => {
  it('has the numbers that the host has, up to rounding', async () => {
    const gpu = await modestGpu();
    for (const size of sizes) {
      for (const place of places) {
        const tensor = randomNormal(gpu, [size], place);
        assertClose(await tensor.read(), normalNumbers(size, place), { absolute: 2e-4, relative: 1e-5 });
        tensor.dispose();
      }
    }
  });
});

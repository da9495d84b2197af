import { describe, expect, it } from 'vitest';
import {
  ArgumentError,
  gumbelNumbers,
  normalNumbers,
  randomGumbel,
  randomNormal,
  randomUniform,
  uniformNumbers,
} from '../src/index.ts';
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

describe('randomGumbel', () => {
  it('has the numbers that the host has, up to rounding', async () => {
    const gpu = await modestGpu();
    for (const size of sizes) {
      for (const place of places) {
        const tensor = randomGumbel(gpu, [size], place);
        assertClose(await tensor.read(), gumbelNumbers(size, place), { absolute: 2e-4, relative: 1e-5 });
        tensor.dispose();
      }
    }
  });

  it('has the mean and the variance of the distribution', () => {
    const numbers = gumbelNumbers(100_000, { seed: 3 });
    const mean = numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
    const variance = numbers.reduce((sum, value) => sum + (value - mean) ** 2, 0) / numbers.length;
    expect(mean).toBeCloseTo(0.5772, 1);
    expect(variance).toBeCloseTo(Math.PI ** 2 / 6, 1);
  });
});

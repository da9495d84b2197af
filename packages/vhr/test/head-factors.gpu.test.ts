import { attention, contiguous, type Gpu, matmul, multiply, ShapeError } from '@saccade/core';
import { assertClose, randomArray, sharedGpu } from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import { headFactors } from '../src/index.ts';
import { headDivergence, removeSurgingHeads, selectHeads, textNorms } from '../src/reference.ts';

async function factorsOf(gpu: Gpu, withImage: number[][], withoutImage: number[][], removeOutliers = true) {
  const size = [withImage.length, withImage[0]?.length ?? 0];
  const { factors, divergence } = gpu.tidy(() =>
    headFactors(gpu.tensor(withImage.flat(), size), gpu.tensor(withoutImage.flat(), size), {
      alpha: 2,
      removeOutliers,
    }),
  );
  const [told = [], measured = []] = (await gpu.read([factors, divergence])).map((each) => Array.from(each));
  factors.dispose();
  divergence.dispose();
  expect(told.every((factor) => factor === 1 || factor === 2)).toBe(true);
  return { heads: told.flatMap((factor, head) => (factor === 2 ? [head] : [])), divergence: measured };
}

function randomRows(heads: number, size: number, seed: number): number[][] {
  const numbers = randomArray(heads * size, seed);
  return Array.from({ length: heads }, (_, head) => Array.from(numbers.subarray(head * size, (head + 1) * size)));
}

describe.each([
  [32, 64],
  [8, 16],
  [9, 20],
  [71, 8],
  [1, 4],
])('%i heads of %i', (heads, size) => {
  it('checks 3 and 4: are chosen as the reference does', async () => {
    const gpu = await sharedGpu();
    const [withImage, withoutImage] = [randomRows(heads, size, 1), randomRows(heads, size, 2)];
    // One head surges when the image is gone.
    withoutImage[heads - 1] = new Array<number>(size).fill(9);
    const divergence = headDivergence(withImage, withoutImage);
    const result = await factorsOf(gpu, withImage, withoutImage);
    assertClose(result.divergence, divergence, { relative: 1e-5 });
    expect(result.heads).toEqual(selectHeads(removeSurgingHeads(divergence, textNorms(withoutImage))));
    const kept = await factorsOf(gpu, withImage, withoutImage, false);
    expect(kept.heads).toEqual(selectHeads(divergence));
  });
});

it('check 2: equal branches diverge nowhere, and every factor is 1', async () => {
  const rows = randomRows(8, 16, 5);
  const { heads, divergence } = await factorsOf(await sharedGpu(), rows, rows);
  expect(heads).toEqual([]);
  expect(divergence).toEqual(new Array(8).fill(0));
});

it('check 4: a head that surges in both numbers is cleared, one that only diverges is chosen', async () => {
  const gpu = await sharedGpu();
  const row = (first: number) => [first, 0, 0, 0];
  // Divergences of 1, and of 9 for the last head; what it gives without the image is large, or as that of others.
  const surging = [...new Array(7).fill(row(1)), row(7)];
  expect((await factorsOf(gpu, [...new Array(7).fill(row(2)), row(16)], surging)).heads).toEqual([]);
  const calm = new Array(8).fill(row(1));
  expect((await factorsOf(gpu, [...new Array(7).fill(row(2)), row(10)], calm)).heads).toEqual([7]);
});

it('check 7: scaling heads equals scaling their columns of the output projection', async () => {
  const gpu = await sharedGpu();
  const [heads, size, width] = [4, 8, 24];
  const factors = [1, 2, 1, 2];
  const [scaledHeads, scaledWeights] = gpu.tidy(() => {
    const z = gpu.tensor(randomArray(5 * heads * size, 1), [5, heads * size]);
    const w = gpu.tensor(randomArray(heads * size * width, 2), [heads * size, width]);
    const byColumn = gpu.tensor(
      factors.flatMap((factor) => new Array<number>(size).fill(factor)),
      [heads * size],
    );
    return [matmul(multiply(z, byColumn), w), matmul(z, multiply(w, byColumn.reshape([heads * size, 1])))] as const;
  });
  const [a, b] = await gpu.read([scaledHeads, scaledWeights]);
  assertClose(a as Float32Array, b as Float32Array, { absolute: 1e-5 });
  scaledHeads.dispose();
  scaledWeights.dispose();
});

it('check 8: the more the head that copies the image counts, the higher the token that the image supports', async () => {
  const gpu = await sharedGpu();
  // Head 0 reads the image (key 0), head 1 the text (key 1). Feature 0 speaks for what the image shows, feature 1 for what is usual.
  const size = 4;
  const run = (image: boolean) => {
    const shown = image
      ? [
          [9, 0, 0, 0],
          [0, 0, 0, 0],
        ]
      : [[0, 0, 0, 0]];
    const keys = image ? 2 : 1;
    const k = gpu.tensor([...shown.flat(), ...shown.flat().reverse()], [1, 2, keys, size]);
    const v = gpu.tensor(
      [...(image ? [1, 0, 0, 0] : []), 0, 0.1, 0, 0, ...(image ? [0, 0, 0, 0] : []), 0, 1.5, 0, 0],
      [1, 2, keys, size],
    );
    const q = gpu.tensor([9, 0, 0, 0, 0, 0, 0, 9], [1, 2, 1, size]);
    return contiguous(attention(q, k, v).output).reshape([2, size]);
  };
  const supports: number[] = [];
  for (const alpha of [1, 2, 3]) {
    const logits = gpu.tidy(() => {
      const withImage = run(true);
      const { factors } = headFactors(withImage, run(false), { alpha, removeOutliers: true });
      return multiply(withImage, factors.reshape([2, 1]));
    });
    const values = await logits.read();
    logits.dispose();
    supports.push(
      (values[0] as number) + (values[size] as number) - (values[1] as number) - (values[size + 1] as number),
    );
  }
  expect(supports[1]).toBeGreaterThan(supports[0] as number);
  expect(supports[2]).toBeGreaterThan(supports[1] as number);
});

it('refuses outputs of different shapes', async () => {
  const gpu = await sharedGpu();
  gpu.tidy(() => {
    const options = { alpha: 2, removeOutliers: true };
    expect(() => headFactors(gpu.tensor([1, 2], [1, 2]), gpu.tensor([1, 2], [2, 1]), options)).toThrow(ShapeError);
  });
});

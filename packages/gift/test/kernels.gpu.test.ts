import type { Gpu, Tensor } from '@saccade/core';
import { assertClose, modestGpu, randomArray, sharedGpu } from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import { enhanceRow, gazeShift, saliencyMultipliers } from '../src/index.ts';
import { enhanceReference, gazeShiftReference, multipliersReference } from '../src/reference.ts';

type Rows = number[][];

const read = async (gpu: Gpu, make: () => Tensor) => {
  const tensor = gpu.tidy(make);
  const numbers = Array.from(await tensor.read());
  tensor.dispose();
  return numbers;
};
const u32 = (gpu: Gpu, numbers: readonly number[]) => gpu.tensor(numbers, [numbers.length], 'u32');

/** Saliency of all keys, from attention [H][R][T]. */
function saliencyOf(gpu: Gpu, attention: Rows[], rows: number[], headFraction = 0.5, images?: number[]) {
  const [count, tokens] = [attention[0]?.length ?? 0, attention[0]?.[0]?.length ?? 0];
  return read(gpu, () =>
    gazeShift(
      gpu.tensor(attention.flat(2), [attention.length, count, tokens]),
      u32(gpu, rows),
      u32(gpu, images ?? Array.from({ length: tokens }, (_, token) => token)),
      { headFraction },
    ),
  );
}

function multipliersOf(gpu: Gpu, saliency: number[], alpha = 5, clipSigma = 3) {
  return read(gpu, () => saliencyMultipliers(gpu.tensor(saliency, [saliency.length]), { alpha, clipSigma }));
}

async function enhancedOf(
  gpu: Gpu,
  rows: Rows,
  image: number[],
  question: number[],
  multipliers: number[],
  numbers = { beta: 1, headFraction: 0.5 },
) {
  const keys = rows[0]?.length ?? 0;
  // Roles end with the prompt, rows of the cache go on.
  const roles = Array.from({ length: Math.max(...image, ...question) + 1 }, (_, key) =>
    question.includes(key) ? 1 : image.includes(key) ? 2 + image.indexOf(key) : 0,
  );
  const flat = await read(gpu, () =>
    enhanceRow(
      gpu.tensor(rows.flat(), [rows.length, keys]),
      u32(gpu, roles),
      gpu.tensor(multipliers, [multipliers.length]),
      numbers,
    ),
  );
  return rows.map((_, head) => flat.slice(head * keys, (head + 1) * keys));
}

function randomAttention(heads: number, rows: number, keys: number, seed: number): Rows[] {
  return Array.from({ length: heads }, (_, head) =>
    Array.from({ length: rows }, (_, row) => {
      const scores = Array.from(randomArray(keys, seed + 100 * head + row), (x) => Math.exp(2 * x));
      const total = scores.reduce((a, b) => a + b, 0);
      return scores.map((x) => x / total);
    }),
  );
}

describe.each([
  ['the adapter', sharedGpu],
  ['one of default limits', modestGpu],
])('on %s', (_, open) => {
  it('check 3: a sink that stays is not salient, a token that rises is', async () => {
    const gpu = await open();
    const attention = Array.from({ length: 4 }, () =>
      Array.from({ length: 5 }, (_, row) =>
        Array.from({ length: 12 }, (_, token) => (token === 0 ? 0.3 : token === 5 && row === 3 ? 0.1 : 0.01)),
      ),
    );
    const saliency = await saliencyOf(gpu, attention, [1, 2, 3, 4]);
    expect(saliency[0]).toBe(0);
    expect(saliency.indexOf(Math.max(...saliency))).toBe(5);
    const multipliers = await multipliersOf(gpu, saliency, 5, 100);
    assertClose([multipliers[5] as number, multipliers[0] as number], [Math.exp(5), 1], { relative: 1e-5 });
    // Cut at three deviations it is still the largest, and the largest is 1 after scaling.
    const cut = await multipliersOf(gpu, saliency);
    assertClose([cut[5] as number, cut[0] as number], [Math.exp(5), 1], { relative: 1e-5 });
  });

  it('check 4: the hand case', async () => {
    const rows = [
      [0.2, 0.2, 0.2, 0.4],
      [0.1, 0.1, 0.3, 0.5],
    ];
    const enhanced = await enhancedOf(await open(), rows, [0, 1], [2], [3, 1]);
    assertClose(
      enhanced.flat(),
      [...[0.6, 0.2, 0.2, 0.4].map((x) => x / 1.4), ...[0.1, 0.1, 0.6, 0.5].map((x) => x / 1.3)],
      { absolute: 1e-6 },
    );
    expect(enhanceReference(rows, [0, 1], [2], [3, 1], { beta: 1, headFraction: 0.5 }).ratio).toBeCloseTo(2, 12);
  });
});

describe.each([
  [32, 6, 90],
  [4, 3, 17],
  [9, 4, 200],
  [1, 2, 5],
])('%i heads, %i rows, %i keys', (heads, count, keys) => {
  const images = Array.from({ length: keys - 4 }, (_, index) => index + 1);

  it('saliency and multipliers are the reference’s', async () => {
    const gpu = await sharedGpu();
    const attention = randomAttention(heads, count, keys, 1);
    const rows = count > 2 ? [1, count - 1] : [1];
    const seen = attention.map((head) => head.map((row) => images.map((key) => row[key] as number)));
    const expected = gazeShiftReference(seen, rows, 0.5);
    const saliency = await saliencyOf(gpu, attention, rows, 0.5, images);
    assertClose(saliency, expected, { relative: 1e-4, absolute: 1e-7 });
    for (const sigma of [1, 3]) {
      assertClose(await multipliersOf(gpu, expected, 4, sigma), multipliersReference(expected, 4, sigma), {
        relative: 1e-4,
      });
    }
  });

  it('check 2: changed rows sum to 1, as the reference says; others are the same to the bit', async () => {
    const gpu = await sharedGpu();
    const rows = randomAttention(heads, 1, keys, 7).map(([row]) => row as number[]);
    const question = [keys - 2];
    const multipliers = images.map((_, index) => 1 + (index % 5));
    const numbers = { beta: 1.5, headFraction: 0.3 };
    const enhanced = await enhancedOf(gpu, rows, images, question, multipliers, numbers);
    const expected = enhanceReference(rows, images, question, multipliers, numbers).rows;
    for (const [head, row] of enhanced.entries()) {
      assertClose(row, expected[head] as number[], { relative: 1e-4, absolute: 1e-7 });
      expect(Math.abs(row.reduce((a, b) => a + b, 0) - 1)).toBeLessThan(1e-6);
    }
    const exact = rows.map((row) => Array.from(Float32Array.from(row)));
    const untouched = enhanced.filter((row, head) => `${row}` === `${exact[head]}`);
    // At most two sets of heads are changed.
    expect(untouched.length).toBeGreaterThanOrEqual(heads - 2 * Math.max(1, Math.floor(0.3 * heads)));
  });
});

it('check 5: the order of rows counts; image tokens that change places take their factors along', async () => {
  const gpu = await sharedGpu();
  const attention = randomAttention(4, 4, 20, 3);
  const saliency = await saliencyOf(gpu, attention, [1, 2, 3]);
  const flipped = attention.map(([a, b, c, d]) => [a, c, b, d] as Rows);
  const other = await saliencyOf(gpu, flipped, [1, 2, 3]);
  expect(Math.max(...saliency.map((x, token) => Math.abs(x - (other[token] as number))))).toBeGreaterThan(1e-3);
  const order = Array.from({ length: 20 }, (_, token) => (7 * token + 3) % 20);
  const moved = await saliencyOf(gpu, attention, [1, 2, 3], 0.5, order);
  const multipliers = await multipliersOf(gpu, saliency);
  assertClose(
    await multipliersOf(gpu, moved),
    order.map((token) => multipliers[token] as number),
    { relative: 1e-4 },
  );
});

it('equal saliency changes nothing', async () => {
  const gpu = await sharedGpu();
  expect(await multipliersOf(gpu, new Array<number>(9).fill(0.1))).toEqual(new Array(9).fill(1));
  expect(await multipliersOf(gpu, [0.3])).toEqual([1]);
});

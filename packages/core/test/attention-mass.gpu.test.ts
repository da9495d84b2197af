import { describe, expect, it } from 'vitest';
import * as ad from '../src/autodiff/index.ts';
import type { Gpu } from '../src/index.ts';
import {
  type AttentionReferenceInput,
  assertClose,
  attentionProbabilities,
  checkGradient,
  expectationReference,
  keyMassReference,
  keySetMassReference,
  modestGpu,
  randomArray,
  randomIntegers,
  sharedGpu,
} from '../src/testing/index.ts';

const sizes = { batches: 2, heads: 4, kvHeads: 2, queries: 5, keys: 7, headSize: 8 };
const inputs = [
  { shape: [2, 4, 5, 8], data: randomArray(320, 1) },
  { shape: [2, 2, 7, 8], data: randomArray(224, 2) },
] as const;

type Options = Pick<AttentionReferenceInput, 'causal' | 'slidingWindow' | 'scale'>;

/** The reference's probabilities under both inputs. */
const probabilities = (q: Float64Array, k: Float64Array, options: Options = {}) =>
  attentionProbabilities({ ...sizes, q, k, v: k, ...options });

const upload = (gpu: Gpu, data: ArrayLike<number>, shape: readonly number[], dtype: 'f32' | 'u32' = 'f32') =>
  gpu.tensor(data, shape, dtype);

describe.each([
  ['full', sharedGpu],
  ['modest', modestGpu],
] as const)('gradients through what attention pays its weight to, on the %s device', (_, open) => {
  it('mass of key sets: of all heads, of each batch, of each query head; causal with a window', async () => {
    const gpu = await open();
    const before = gpu.stats().liveBytes;
    // Ids of 3 belong to no set.
    for (const [shape, options] of [
      [[7], {}],
      [[2, 7], { causal: true, slidingWindow: 4 }],
      [[2, 4, 7], { causal: true, scale: 0.7 }],
    ] as const) {
      const ids = randomIntegers(
        shape.reduce((product, size) => product * size, 1),
        3,
        4,
      );
      const setOf = (batch: number, head: number, key: number) => {
        const row = shape.length === 1 ? 0 : shape.length === 2 ? batch : 4 * batch + head;
        return ids[7 * row + key] as number;
      };
      const sets = upload(gpu, ids, shape, 'u32');
      await checkGradient(gpu, {
        name: `sets [${shape}]`,
        inputs,
        fn: (q, k) => ad.keySetMass(q, k, { sets, count: 3, ...options }),
        reference: (q, k) => keySetMassReference(probabilities(q, k, options), sizes, 3, setOf),
      });
      sets.dispose();
    }
    expect(gpu.stats().liveBytes).toBe(before);
  });

  it('more sets per group than the head has features', async () => {
    const gpu = await open();
    const narrow = { batches: 1, heads: 2, kvHeads: 1, queries: 3, keys: 6, headSize: 4 };
    const ids = Uint32Array.from([0, 1, 2, 3, 3, 0, 3, 3, 2, 1, 0, 9]);
    const sets = upload(gpu, ids, [1, 2, 6], 'u32');
    await checkGradient(gpu, {
      inputs: [
        { shape: [1, 2, 3, 4], data: randomArray(24, 4) },
        { shape: [1, 1, 6, 4], data: randomArray(24, 5) },
      ],
      fn: (q, k) => ad.keySetMass(q, k, { sets, count: 4 }),
      reference: (q, k) =>
        keySetMassReference(
          attentionProbabilities({ ...narrow, q, k, v: k }),
          narrow,
          4,
          (__, head, key) => ids[6 * head + key] as number,
        ),
    });
    sets.dispose();
  });

  it('means of numbers that keys carry, and the mass of each key', async () => {
    const gpu = await open();
    const before = gpu.stats().liveBytes;
    const numbers = randomArray(14, 6, { scale: 3 });
    const keyWeights = upload(gpu, numbers, [2, 7]);
    await checkGradient(gpu, {
      name: 'expectation',
      inputs,
      fn: (q, k) => ad.keyExpectation(q, k, { keyWeights, causal: true }),
      reference: (q, k) =>
        expectationReference(
          probabilities(q, k, { causal: true }),
          sizes,
          (batch, __, key) => numbers[7 * batch + key] as number,
        ),
    });
    const factors = randomArray(20, 7).map((value) => 1 + value);
    const queryWeights = upload(gpu, factors, [4, 5]);
    await checkGradient(gpu, {
      name: 'weighted key mass',
      inputs,
      fn: (q, k) => ad.keyMass(q, k, { queryWeights }),
      reference: (q, k) =>
        keyMassReference(probabilities(q, k), sizes, {
          weight: (__, head, query) => factors[5 * head + query] as number,
        }),
    });
    await checkGradient(gpu, {
      name: 'key mass',
      inputs,
      fn: (q, k) => ad.keyMass(q, k, { causal: true }),
      reference: (q, k) => keyMassReference(probabilities(q, k, { causal: true }), sizes),
    });
    keyWeights.dispose();
    queryWeights.dispose();
    expect(gpu.stats().liveBytes).toBe(before);
  });
});

it('sets that hold every key have mass 1, which nothing changes', async () => {
  const gpu = await sharedGpu();
  const { value, gradients } = gpu.tidy(() => {
    const [q, k] = inputs.map(({ data, shape }) => gpu.tensor(data, shape));
    const sets = gpu.tensor([0, 1, 1, 0, 1, 1, 0], [7], 'u32');
    const fn = (a: ad.Value, b: ad.Value) => ad.sum(ad.keySetMass(a, b, { sets, count: 2, causal: true }));
    return ad.valueAndGrad(fn, q as NonNullable<typeof q>, k as NonNullable<typeof k>);
  });
  assertClose(await value.read(), [40], { relative: 1e-5 });
  for (const gradient of gradients) {
    assertClose(await gradient.read(), new Float32Array(gradient.size), { absolute: 1e-6 });
    gradient.dispose();
  }
  value.dispose();
});

it('errors name the op and what it takes', async () => {
  const gpu = await sharedGpu();
  gpu.tidy(() => {
    const [q, k] = [gpu.zeros([1, 2, 3, 8]), gpu.zeros([1, 2, 5, 8])];
    const sets = gpu.zeros([4], 'u32');
    expect(() => ad.keySetMass(q, k, { sets, count: 2 })).toThrow(/4/);
    expect(() => ad.keySetMass(q, k, { sets: gpu.zeros([1, 1, 1, 5], 'u32'), count: 2 })).toThrow(/keySetMass: sets/);
    const keyMultipliers = { multipliers: gpu.zeros([1, 5]) };
    expect(() => ad.keyMass(q, k, { keyMultipliers } as never)).toThrow(/keyMultipliers/);
  });
});

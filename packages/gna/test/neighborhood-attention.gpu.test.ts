import { ArgumentError, type Gpu, ShapeError, type Tensor } from '@saccade/core';
import * as differentiable from '@saccade/core/autodiff';
import { type Value, valueAndGrad } from '@saccade/core/autodiff';
import {
  assertClose,
  attentionBackwardReference,
  countKeyRows,
  modestGpu,
  poisonRows,
  randomArray,
  sharedGpu,
} from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import {
  differentiableNeighborhoodAttention,
  type NeighborhoodAttentionOptions,
  NeighborhoodPlan,
  neighborhoodAttention,
  neighborhoodMask,
  simulate,
} from '../src/index.ts';
import { neighborhoodAttentionReference } from '../src/reference.ts';
import { randomCall, type Sizes, upload } from './call.ts';

const base: Sizes = { layout: [7, 9], batches: 2, heads: 4, kvHeads: 2, headSize: 16 };
const tiles = { queryTile: [4, 4], keyTile: [2, 4] };

/** Output and log-sum-exp against the reference. */
async function check(gpu: Gpu, sizes: Sizes, options: NeighborhoodAttentionOptions, additional = 0): Promise<void> {
  const call = randomCall(sizes, additional);
  const { readbacks } = gpu.stats();
  const { output, logSumExp } = gpu.tidy(() => {
    const { q, k, v, additional: more } = upload(gpu, call, sizes);
    return neighborhoodAttention(q, k, v, { ...options, ...(additional ? more : {}), returnLogSumExp: true });
  });
  expect(gpu.stats().readbacks).toBe(readbacks);
  const { additionalKeys, additionalValues, ...own } = call;
  const expected = neighborhoodAttentionReference({
    ...sizes,
    ...own,
    window: options.window,
    ...(options.stride === undefined ? {} : { stride: options.stride }),
    ...(options.dilation === undefined ? {} : { dilation: options.dilation }),
    ...(options.causal === undefined ? {} : { causal: options.causal }),
    ...(options.scale === undefined ? {} : { scale: options.scale }),
    ...(additional ? { additionalKeys, additionalValues } : {}),
  });
  expect(output.shape).toEqual([sizes.batches, ...sizes.layout, sizes.heads, sizes.headSize]);
  expect(logSumExp?.shape).toEqual([sizes.batches, ...sizes.layout, sizes.heads]);
  assertClose(await output.read(), expected.output, { absolute: 1e-5, relative: 1e-5, name: 'output' });
  assertClose(await (logSumExp as Tensor).read(), expected.logSumExp, { absolute: 2e-5, relative: 1e-5, name: 'lse' });
  output.dispose();
  logSumExp?.dispose();
}

describe('check 4: tile by tile equals the masked reference', () => {
  const cases: readonly [string, Partial<Sizes>, NeighborhoodAttentionOptions][] = [
    ['a ragged plane', {}, { window: [3, 4], stride: [1, 2], ...tiles }],
    ['one of its own tiles', {}, { window: [4, 5], stride: [2, 1] }],
    [
      'dilated, causal along one axis',
      {},
      { window: [3, 4], stride: [2, 3], dilation: [2, 2], causal: [true, false], ...tiles },
    ],
    ['a causal line', { layout: [37] }, { window: 8, stride: 3, causal: true, queryTile: [8], keyTile: [4] }],
    ['a volume, one sample', { layout: [3, 4, 5], batches: 1 }, { window: [2, 3, 3], stride: [1, 3, 2], scale: 0.3 }],
  ];
  it.each(cases)('%s', async (_, sizes, options) => check(await sharedGpu(), { ...base, ...sizes }, options));

  it('on WebGPU’s defaults', async () => check(await modestGpu(), base, { window: [3, 4], stride: [1, 2], ...tiles }));

  it.each(['same', 'own'] as const)('additional keys in the %s pass equal concatenation', async (additionalPass) => {
    await check(await sharedGpu(), base, { window: [3, 4], stride: [1, 2], ...tiles, additionalPass }, 5);
    await check(await sharedGpu(), { ...base, layout: [20] }, { window: 6, additionalPass }, 3);
  });

  it('a plan serves many calls, of its own layout only', async () => {
    const gpu = await sharedGpu();
    const options = { window: [3, 4], ...tiles };
    const plan = new NeighborhoodPlan(gpu, { layout: [7, 9], batches: 2 }, options);
    await check(gpu, base, { ...options, plan });
    await check(gpu, base, { ...options, plan, scale: 0.1 });
    await expect(check(gpu, { ...base, batches: 1 }, { ...options, plan })).rejects.toThrow(ArgumentError);
    plan.dispose();
  });

  it.each<[string, Pick<NeighborhoodAttentionOptions, 'window' | 'stride' | 'dilation' | 'causal'>]>([
    ['sliding', { window: [3, 4] }],
    ['blocked', { window: [3, 3], stride: [3, 3] }],
    [
      'strided, dilated, causal along one axis',
      { window: [3, 4], stride: [2, 3], dilation: [2, 2], causal: [true, false] },
    ],
  ])('%s: gradients by queries, keys and values, additional ones included', async (_, mix) => {
    const gpu = await sharedGpu();
    const sizes = { ...base, batches: 1 };
    const [tokens, additional] = [63, 5];
    const call = randomCall(sizes, additional);
    const weights = randomArray(tokens * 4 * 16, 8);
    const plan = new NeighborhoodPlan(gpu, { layout: [7, 9], batches: 1, otherKeys: additional }, { ...mix, ...tiles });
    const { value, gradients } = gpu.tidy(() => {
      const { q, k, v, additional: more } = upload(gpu, call, sizes);
      return valueAndGrad(
        (queries, keys, values, additionalKeys, additionalValues) => {
          const given = { additionalKeys, additionalValues };
          const output: Value = differentiableNeighborhoodAttention(queries, keys, values, plan, given);
          return differentiable.sum(differentiable.multiply(output, gpu.tensor(weights, [1, 7, 9, 4, 16])));
        },
        ...([q, k, v, more.additionalKeys, more.additionalValues] as const),
      );
    });
    // Keys of the grid before additional ones, heads first.
    const headsFirst = (data: Float32Array, count: number) => {
      const rows = data.length / (count * 16);
      return Float32Array.from(data, (_, at) => {
        const [head, row, d] = [Math.floor(at / (rows * 16)), Math.floor(at / 16) % rows, at % 16];
        return data[(row * count + head) * 16 + d] as number;
      });
    };
    const join = (first: Float32Array, second: Float32Array) => Float32Array.from([...first, ...second]);
    const mask = neighborhoodMask([7, 9], mix);
    const expected = attentionBackwardReference(headsFirst(weights, 4), {
      ...{ batches: 1, heads: 4, kvHeads: 2, queries: tokens, keys: tokens + additional, headSize: 16 },
      q: headsFirst(call.q, 4),
      k: headsFirst(join(call.k, call.additionalKeys), 2),
      v: headsFirst(join(call.v, call.additionalValues), 2),
      mask: {
        kind: 'custom',
        wgsl: () => 'true',
        reference: ({ query, keyPosition }) => keyPosition >= tokens || mask[query * tokens + keyPosition] === 1,
      },
    });
    const read = async (tensor: Tensor, count: number) => headsFirst((await tensor.read()) as Float32Array, count);
    const [dq, dk, dv, dMoreKeys, dMoreValues] = gradients;
    const perHead = (grid: Float32Array, more: Float32Array) =>
      Float32Array.from(
        [0, 1].flatMap((head) => [
          ...grid.subarray(head * tokens * 16, (head + 1) * tokens * 16),
          ...more.subarray(head * additional * 16, (head + 1) * additional * 16),
        ]),
      );
    const tolerance = { absolute: 5e-5, relative: 1e-4 };
    assertClose(await read(dq, 4), expected.dq, { ...tolerance, name: 'dq' });
    assertClose(perHead(await read(dk, 2), await read(dMoreKeys, 2)), expected.dk, { ...tolerance, name: 'dk' });
    assertClose(perHead(await read(dv, 2), await read(dMoreValues, 2)), expected.dv, { ...tolerance, name: 'dv' });
    for (const tensor of [value, ...gradients]) tensor.dispose();
    plan.dispose();
  });
});

describe('check 2: limits', () => {
  it('the whole axis as window is dense attention, whatever the stride', async () => {
    const gpu = await sharedGpu();
    for (const stride of [1, [7, 4]]) await check(gpu, base, { window: [7, 9], stride });
    await check(gpu, base, { window: [7, 9] }, 4);
    // Not the shortcut: along one axis only.
    await check(gpu, base, { window: [7, 3], stride: [5, 1], ...tiles });
  });

  it('a stride of the window is dense attention within blocks', async () => {
    const sizes = { ...base, layout: [8, 6] };
    await checkPart(sizes, { window: [4, 3], stride: [4, 3] }, ([y, x]) => y >= 4 && x >= 3, {
      ...{ layout: [4, 3], window: [4, 3] },
    });
  });

  it('a dilation is as many interleaved grids', async () => {
    const sizes = { ...base, layout: [8, 10] };
    await checkPart(sizes, { window: [3, 2], dilation: [2, 3] }, ([y, x]) => y % 2 === 1 && x % 3 === 1, {
      ...{ layout: [4, 3], window: [3, 2] },
    });
  });
});

/** Tokens of a part of the grid, in their order: all samples, rows of `width` numbers. */
function pick(
  data: ArrayLike<number>,
  { layout, batches }: Sizes,
  width: number,
  chosen: (place: [number, number]) => boolean,
) {
  const [height, columns] = layout as [number, number];
  const rows: number[] = [];
  for (let token = 0; token < batches * height * columns; token++) {
    const at = token % (height * columns);
    if (!chosen([Math.floor(at / columns), at % columns])) continue;
    for (let d = 0; d < width; d++) rows.push(data[token * width + d] as number);
  }
  return Float32Array.from(rows);
}

/** A part of the output equals a call on that part of the tokens alone. */
async function checkPart(
  sizes: Sizes,
  options: NeighborhoodAttentionOptions,
  chosen: (place: [number, number]) => boolean,
  { layout, window }: { readonly layout: number[]; readonly window: number[] },
): Promise<void> {
  const gpu = await sharedGpu();
  const { heads, kvHeads, headSize } = sizes;
  const call = randomCall(sizes);
  const part = {
    ...call,
    q: pick(call.q, sizes, heads * headSize, chosen),
    k: pick(call.k, sizes, kvHeads * headSize, chosen),
    v: pick(call.v, sizes, kvHeads * headSize, chosen),
  };
  const run = (given: typeof call, own: Sizes, settings: NeighborhoodAttentionOptions) =>
    gpu.tidy(() => {
      const { q, k, v } = upload(gpu, given, own);
      return neighborhoodAttention(q, k, v, settings).output;
    });
  const [whole, alone] = [run(call, sizes, options), run(part, { ...sizes, layout }, { window })];
  const expected = await alone.read();
  assertClose(pick(await whole.read(), sizes, heads * headSize, chosen), expected, { absolute: 1e-5, relative: 1e-5 });
  whole.dispose();
  alone.dispose();
}

describe('proofs of sparseness', () => {
  // Perfectly block-sparse: a query tile of 8 x 8 sees 16 x 16 keys in tiles of 4 x 4.
  const sizes: Sizes = { layout: [32, 32], batches: 1, heads: 2, kvHeads: 1, headSize: 16 };
  const options = { window: 16, stride: 8, queryTile: [8, 8], keyTile: [4, 4] };

  it('counting: as many key rows as the simulator says', async () => {
    const gpu = await sharedGpu();
    const call = randomCall(sizes);
    const count = (given: NeighborhoodAttentionOptions) =>
      countKeyRows(gpu, (keyRowCounter) => {
        const { q, k, v } = upload(gpu, call, sizes);
        neighborhoodAttention(q, k, v, { ...given, keyRowCounter });
      });
    const dense = await count({ window: 32 });
    const { tileSpeedup, perfectlyBlockSparse } = simulate(sizes.layout, { ...options, window: 16 });
    expect(perfectlyBlockSparse).toBe(true);
    expect(tileSpeedup).toBe(4);
    expect(await count(options)).toBe(dense / 4);
    // Sliding: the mean over the tiles of queries.
    const sliding = { window: 16, queryTile: [8, 8], keyTile: [4, 4] };
    const { keyTilesTotal, keyTilesVisitedMean } = simulate(sizes.layout, sliding);
    expect((await count(sliding)) / dense).toBeCloseTo(keyTilesVisitedMean / keyTilesTotal, 10);
  });

  it.each(['sharedGpu', 'modestGpu'] as const)('poisoning: hidden tiles are never read, %s', async (device) => {
    const gpu = await (device === 'sharedGpu' ? sharedGpu() : modestGpu());
    const call = randomCall(sizes);
    // The first tile of queries sees the first 16 x 16 keys.
    const kept = (_: number, token: number) => token % 32 < 16 && token < 512;
    const poisoned = {
      ...call,
      k: poisonRows(call.k, [1, 1, 1024, 16], kept),
      v: poisonRows(call.v, [1, 1, 1024, 16], kept),
    };
    const run = (given: typeof call) =>
      gpu.tidy(() => {
        const { q, k, v } = upload(gpu, given, sizes);
        return neighborhoodAttention(q, k, v, options).output;
      });
    const [clean, dirty] = [run(call), run(poisoned)];
    const [expected, found] = [await clean.read(), await dirty.read()];
    let hurt = 0;
    for (let token = 0; token < 1024; token++) {
      const row = (data: ArrayLike<number>) => Array.from({ length: 32 }, (_, d) => data[token * 32 + d] as number);
      if (token % 32 < 8 && token < 256) expect(row(found)).toEqual(row(expected));
      else hurt += Number(row(found).some(Number.isNaN));
    }
    expect(hurt).toBeGreaterThan(512);
    clean.dispose();
    dirty.dispose();
  });
});

it('refuses shapes and options that do not fit', async () => {
  const gpu = await sharedGpu();
  gpu.tidy(() => {
    const x = gpu.zeros([1, 8, 8, 4, 16]);
    const run =
      (options: NeighborhoodAttentionOptions, q = x, k = x) =>
      () =>
        neighborhoodAttention(q, k, k, options);
    expect(run({ window: 4 }, gpu.zeros([1, 4, 16]))).toThrow(ShapeError);
    expect(run({ window: 4 }, x, gpu.zeros([1, 8, 7, 4, 16]))).toThrow(/8, ?8/);
    expect(run({ window: 4 }, x, gpu.zeros([1, 8, 8, 3, 16]))).toThrow(/multiple of Hkv/);
    expect(run({ window: 1 })).toThrow(/window/);
    expect(run({ window: 9 })).toThrow(ArgumentError);
    expect(run({ window: 4, stride: 5 })).toThrow(/stride/);
    expect(run({ window: 4, dilation: 3 })).toThrow(/dilation 3/);
    expect(run({ window: 4, queryTile: [4, 4] })).toThrow(/keyTile/);
    expect(run({ window: 4, queryTile: [4, 4], keyTile: [4] })).toThrow(/2 positive/);
    const more = gpu.zeros([1, 3, 4, 16]);
    expect(run({ window: 4, additionalKeys: more })).toThrow(/additionalValues/);
    expect(run({ window: 4, additionalKeys: more, additionalValues: gpu.zeros([1, 2, 4, 16]) })).toThrow(ShapeError);
    const both = { additionalKeys: more, additionalValues: more };
    expect(run({ window: 4, ...both, additionalPass: 'later' as 'own' })).toThrow(/additionalPass/);
  });
});

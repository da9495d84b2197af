import {
  ArgumentError,
  type AttentionPlanOverride,
  attention,
  cast,
  matmul,
  OptionError,
  parseOptions,
  ShapeError,
  scale,
  softmax,
} from '@saccade/core';
import { assertClose, countKeyRows, modestGpu, poisonRows, sharedGpu } from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import { forwardOptions } from '../src/forward-pass.ts';
import { type FlashAttentionOptions, flashAttention, flashAttentionOptions } from '../src/index.ts';
import { flashAttentionReference, type ReferenceInput, score } from '../src/reference.ts';
import { optionsOf, randomCall, readResult, upload } from './call.ts';

const gpu = await sharedGpu();
const single = { batches: 1, heads: 1, kvHeads: 1 };

async function run(call: ReferenceInput, options: FlashAttentionOptions = {}, device = gpu) {
  const result = device.tidy(() => {
    const { q, k, v } = upload(device, call);
    return flashAttention(q, k, v, { ...optionsOf(call), ...options });
  });
  return readResult(result);
}

async function compare(call: ReferenceInput, options: FlashAttentionOptions = {}, device = gpu): Promise<void> {
  const { out, logSumExp } = await run(call, options, device);
  const expected = flashAttentionReference(call);
  assertClose(out, expected.out, { absolute: 1e-5, name: 'out' });
  assertClose(logSumExp, expected.logSumExp, { absolute: 1e-5, relative: 1e-6, name: 'log-sum-exp' });
}

const near = { absolute: 1e-6, relative: 1e-6 };

describe('check 1: equals f64 to 1e-5', () => {
  it.each([
    // N, M, D, H, Hkv, causal
    [1, 1, 32, 1, 1, false],
    [2, 17, 32, 2, 1, true],
    [17, 2, 32, 4, 1, false],
    [64, 65, 32, 8, 1, true],
    [127, 64, 32, 4, 2, true],
    [128, 129, 32, 2, 2, false],
    [129, 127, 64, 2, 1, true],
    [513, 513, 64, 2, 1, true],
    [65, 129, 80, 2, 1, false],
    [17, 128, 128, 2, 1, true],
    [3, 9, 256, 1, 1, false],
  ] as const)(
    '%i queries, %i keys, head size %i, %i heads on %i, causal %s',
    async (queries, keys, headSize, heads, kvHeads, causal) => {
      const before = gpu.stats().liveBytes;
      await compare(randomCall({ batches: 1, heads, kvHeads, queries, keys, headSize }, { causal }));
      expect(gpu.stats().liveBytes).toBe(before);
    },
  );

  it.each<[string, ReferenceInput]>([
    [
      'causal, grouped',
      randomCall({ batches: 2, heads: 4, kvHeads: 2, queries: 70, keys: 97, headSize: 32 }, { causal: true }),
    ],
    ['one query', randomCall({ ...single, heads: 4, queries: 1, keys: 65, headSize: 32 })],
  ])('on the modest device: %s', async (_, call) => {
    await compare(call, {}, await modestGpu());
  });

  it.each<[string, Partial<ReferenceInput>]>([
    ['a window to both sides', { window: [7, 3] }],
    ['a window to the left', { window: [7, -1] }],
    ['a window to the right', { window: [-1, 3] }],
    ['a causal window, soft-capped, with a scale', { window: [7, -1], causal: true, softcap: 1.5, scale: 0.4 }],
    ['only its own position', { window: [0, 0] }],
  ])('%s', async (_, options) => {
    await compare(randomCall({ ...single, heads: 2, queries: 21, keys: 40, headSize: 32 }, options));
  });

  it('of f16: at most twice the error of three kernels in f16', async () => {
    const call = randomCall({ ...single, queries: 65, keys: 129, headSize: 64 });
    const tensors = gpu.tidy(() => {
      const { q, k, v } = upload(gpu, call);
      const [halfQ, halfK, halfV] = [cast(q, 'f16'), cast(k, 'f16'), cast(v, 'f16')];
      const scores = cast(scale(matmul(halfQ, halfK.transpose()), 1 / 8), 'f16');
      const threeKernels = cast(matmul(cast(softmax(scores), 'f16'), halfV), 'f16');
      const { out } = flashAttention(halfQ, halfK, halfV);
      return [out, threeKernels, cast(halfQ, 'f32'), cast(halfK, 'f32'), cast(halfV, 'f32')];
    });
    const [flash, threeKernels, q, k, v] = (await gpu.read(tensors)) as Float32Array[];
    for (const tensor of tensors) tensor.dispose();
    const expected = flashAttentionReference({ ...call, q, k, v } as ReferenceInput).out;
    const error = (data: ArrayLike<number> | undefined) =>
      expected.reduce((most, value, at) => Math.max(most, Math.abs((data?.[at] ?? Number.NaN) - value)), 0);
    expect(error(flash)).toBeLessThanOrEqual(2 * error(threeKernels));
  });
});

describe('check 2: tile shapes do not matter', () => {
  // Scores rise by 50 per 64 keys: the maximum stands in the last block, or, with the keys turned round, in the first.
  const keys = 320;
  const rising = randomCall({ ...single, queries: 9, keys, headSize: 32 }, { scale: 1 });
  const q = Float32Array.from(rising.q, (_, index) => (index % 32 === 0 ? 1 : 0));
  const k = Float32Array.from(rising.k, (value, index) =>
    index % 32 === 0 ? 50 * Math.floor(index / 32 / 64) : value,
  );
  const turned = (data: ArrayLike<number>) =>
    Float32Array.from(data, (_, index) => data[(keys - 1 - Math.floor(index / 32)) * 32 + (index % 32)] as number);

  it.each([
    ['rows', 1],
    ['rows', 3],
    ['features', 1],
    ['features', 3],
  ] as const)('layout %s, %i splits: a maximum in the last block or in the first', async (layout, numSplits) => {
    const up = await run({ ...rising, q, k }, { layout, numSplits });
    const down = await run({ ...rising, q, k: turned(k), v: turned(rising.v) }, { layout, numSplits });
    const expected = flashAttentionReference({ ...rising, q, k });
    assertClose(up.out, expected.out, { absolute: 1e-6 });
    assertClose(up.out, down.out, { absolute: 1e-6 });
    assertClose(up.logSumExp, down.logSumExp, near);
  });

  it('the layouts agree to 1e-6', async () => {
    const call = randomCall(
      { ...single, heads: 4, kvHeads: 2, queries: 70, keys: 130, headSize: 32 },
      { causal: true },
    );
    const [rows, features] = [await run(call, { layout: 'rows' }), await run(call, { layout: 'features' })];
    assertClose(rows.out, features.out, near);
    assertClose(rows.logSumExp, features.logSumExp, near);
  });
});

describe('check 3: the log-sum-exp', () => {
  const call = randomCall({ ...single, heads: 2, queries: 12, keys: 65, headSize: 32 });

  it('exp(score - lse) sums to 1 in every row', async () => {
    const { logSumExp } = await run(call);
    const sums = Array.from(logSumExp, (lse, row) => {
      const scores = Array.from({ length: 65 }, (_, key) => score(call, Math.floor(row / 12), row % 12, key));
      return scores.reduce((sum, value) => sum + Math.exp(value - lse), 0);
    });
    assertClose(sums, new Array(24).fill(1), { absolute: 1e-6 });
  });

  it('moves with a constant on all scores, which leaves the output alone', async () => {
    // The last feature is 1 in the queries; in the keys it is the constant.
    const last = (data: ArrayLike<number>, value: number) =>
      Float32Array.from(data, (own, index) => (index % 32 === 31 ? value : own));
    const plain = await run({ ...call, scale: 0.25, q: last(call.q, 1), k: last(call.k, 0) });
    const moved = await run({ ...call, scale: 0.25, q: last(call.q, 1), k: last(call.k, 12) });
    assertClose(moved.out, plain.out, { absolute: 2e-6 });
    assertClose(
      moved.logSumExp,
      plain.logSumExp.map((value) => value + 3),
      near,
    );
  });
});

describe('check 4: splits do not matter', () => {
  const shape = { ...single, heads: 4, kvHeads: 2, queries: 3, keys: 130, headSize: 32 };

  it.each<[string, ReferenceInput]>([
    ['all keys', randomCall(shape)],
    ['a window that empties whole splits', randomCall(shape, { causal: true, window: [10, 0] })],
    ['fewer keys than splits', randomCall({ ...shape, keys: 5 }, { causal: true })],
  ])('%s', async (_, call) => {
    const whole = await run(call, { numSplits: 1 });
    for (const numSplits of [2, 3, 7, 17, 150]) {
      const split = await run(call, { numSplits });
      assertClose(split.out, whole.out, { ...near, name: `${numSplits} splits` });
      assertClose(split.logSumExp, whole.logSumExp, { ...near, name: `log-sum-exp of ${numSplits} splits` });
    }
    assertClose(whole.out, flashAttentionReference(call).out, { absolute: 1e-5 });
  });
});

describe('check 5: blocks that nobody sees are skipped', () => {
  const call = randomCall({ ...single, queries: 256, keys: 256, headSize: 32 });
  const count = (plan: AttentionPlanOverride, options: FlashAttentionOptions = {}) =>
    countKeyRows(gpu, (keyRowCounter) => {
      const { q, k, v } = upload(gpu, call);
      attention(q, k, v, { ...forwardOptions(parseOptions(flashAttentionOptions, options)), plan, keyRowCounter });
    });

  it.each([
    ['staged', 64],
    ['subgroup', 32],
  ] as const)('rows %s, blocks of %i: b (b + 1) / 2 of them where causal; a window: a band', async (access, rows) => {
    if (access === 'subgroup' && gpu.capabilities.subgroupMaxSize !== 8) return;
    const plan = { layout: 'rows', access, ...(access === 'subgroup' ? { sharedRows: rows } : {}) } as const;
    const blocks = 256 / rows;
    expect(await count(plan)).toBe(blocks * 256);
    expect(await count(plan, { causal: true })).toBe(((blocks * (blocks + 1)) / 2) * rows);
    // A block of queries sees itself and 64 keys before and behind, as far as there are any.
    const seen = Array.from({ length: blocks }, (_, block) => [block * rows - 64, (block + 1) * rows] as const);
    const before = seen.reduce((sum, [first, end]) => sum + end - Math.max(first, 0), 0);
    const both = seen.reduce((sum, [first, end]) => sum + Math.min(end + 64, 256) - Math.max(first, 0), 0);
    expect(await count(plan, { causal: true, window: [64, 0] })).toBe(before);
    expect(await count(plan, { window: [64, 64] })).toBe(both);
  });

  it('rows outside every window are not read', async () => {
    const sparse = randomCall({ ...single, queries: 6, keys: 130, headSize: 32 }, { window: [20, 0] });
    const shape = [1, 1, 130, 32];
    const kept = (_: number, position: number) => position >= 130 - 6 - 20;
    const poisoned = { ...sparse, k: poisonRows(sparse.k, shape, kept), v: poisonRows(sparse.v, shape, kept) };
    expect((await run(poisoned)).out).toEqual((await run(sparse)).out);
  });
});

describe('check 6: causality is aligned to the last key', () => {
  it('a chunk of queries equals the last rows of the square', async () => {
    const call = randomCall({ ...single, heads: 2, queries: 65, keys: 65, headSize: 32 }, { causal: true });
    const whole = await run(call);
    const rows = 10;
    const tail = (data: ArrayLike<number>) =>
      [0, 1].flatMap((head) => Array.from(data).slice((head * 65 + 65 - rows) * 32, (head + 1) * 65 * 32));
    const chunk = await run({ ...call, queries: rows, q: tail(call.q) });
    assertClose(chunk.out, tail(whole.out), near);
  });

  it('queries before the first key give zeros and an empty log-sum-exp', async () => {
    const { out, logSumExp } = await run(
      randomCall({ ...single, queries: 12, keys: 5, headSize: 32 }, { causal: true }),
    );
    expect(out.slice(0, 7 * 32).every((value) => value === 0)).toBe(true);
    expect(Array.from(logSumExp, Number.isFinite)).toEqual([...new Array(7).fill(false), ...new Array(5).fill(true)]);
  });
});

describe('bad input is refused by name', () => {
  const zeros = (...shape: number[]) => gpu.zeros(shape);
  it.each<[string, () => unknown, unknown, RegExp]>([
    [
      'heads',
      () => flashAttention(zeros(1, 3, 2, 8), zeros(1, 2, 2, 8), zeros(1, 2, 2, 8)),
      ShapeError,
      /multiple of Hkv/,
    ],
    [
      'head sizes',
      () => flashAttention(zeros(1, 2, 2, 8), zeros(1, 2, 2, 4), zeros(1, 2, 2, 4)),
      ShapeError,
      /do not fit/,
    ],
    ['rank', () => flashAttention(zeros(2, 2, 8), zeros(1, 2, 2, 8), zeros(1, 2, 2, 8)), ShapeError, /4 axes/],
    [
      'dtype',
      () => flashAttention(gpu.zeros([1, 1, 2, 8], 'u32'), zeros(1, 1, 2, 8), zeros(1, 1, 2, 8)),
      ArgumentError,
      /u32.*f32, f16/,
    ],
    [
      'splits',
      () => flashAttention(zeros(1, 1, 2, 8), zeros(1, 1, 2, 8), zeros(1, 1, 2, 8), { numSplits: 0 }),
      OptionError,
      /numSplits.*0.*>= 1/,
    ],
    [
      'window',
      () => flashAttention(zeros(1, 1, 2, 8), zeros(1, 1, 2, 8), zeros(1, 1, 2, 8), { window: [-2, 0] }),
      OptionError,
      /window.*-2.*>= -1/,
    ],
  ])('%s', (_, call, type, message) => {
    const before = gpu.stats().liveBytes;
    expect(() => gpu.tidy(() => void call())).toThrow(type as new () => Error);
    expect(() => gpu.tidy(() => void call())).toThrow(message);
    expect(gpu.stats().liveBytes).toBe(before);
  });
});

import {
  attention,
  bareRun,
  type MethodAttentionOptions,
  RefusedError,
  type Tensor,
  type TokenGrid,
} from '@saccade/core';
import { assertClose, attentionReference, type HostMask, randomArray, sharedGpu } from '@saccade/core/testing';
import { expect, it } from 'vitest';
import { type GnaOptions, gna, gnaOptions } from '../src/index.ts';

const gpu = await sharedGpu();
const [heads, kvHeads, headSize] = [2, 1, 16];

interface Case {
  readonly batches?: number;
  readonly queries: number;
  readonly keys?: number;
}

/** Output through the method, and that of the reference under a mask. */
async function check(
  options: GnaOptions,
  { batches = 1, queries, keys = queries }: Case,
  given: Omit<MethodAttentionOptions, 'method'>,
  mask: HostMask | undefined,
): Promise<void> {
  const q = randomArray(batches * heads * queries * headSize, 1, { scale: 2 });
  const [k, v] = [2, 3].map((seed) => randomArray(batches * kvHeads * keys * headSize, seed)) as [
    Float32Array,
    Float32Array,
  ];
  const output = gpu.tidy(() => {
    const upload = (data: Float32Array, count: number, rows: number) =>
      gpu.tensor(data, [batches, count, rows, headSize]);
    const [ownKeys, ownValues] = [upload(k, kvHeads, keys), upload(v, kvHeads, keys)];
    return attention(gpu, upload(q, heads, queries), ownKeys, ownValues, { method: gna(options), ...given }).output;
  });
  const expected = attentionReference({
    ...{ batches, heads, kvHeads, queries, keys, headSize, q, k, v },
    ...(mask ? { mask } : {}),
    ...(given.causal ? { causal: true } : {}),
    ...(given.scoreModifiers ? { scoreModifiers: [{ kind: 'softCap', cap: 1.5 }] } : {}),
  });
  assertClose(await output.read(), expected.output, { absolute: 2e-5, relative: 1e-4 });
  output.dispose();
}

const plane: TokenGrid = { height: 7, width: 9, textTokens: 0, textFirst: false };
const facts = (tokenGrid: TokenGrid) => ({ causal: false, facts: { tokenGrid } });
const denoise = { phase: 'denoise' } as const;

it('a plane of tokens, two samples at once', async () => {
  const mask: HostMask = { kind: 'neighbourhood', grid: [7, 9], window: [3, 4], stride: [2, 1] };
  await check({ window: [3, 4], stride: [2, 1] }, { batches: 2, queries: 63 }, { ...facts(plane), ...denoise }, mask);
});

it.each([true, false])('text tokens see and are seen by all; text first: %s', async (textFirst) => {
  const grid = { ...plane, frames: 2, height: 4, width: 6, textTokens: 5, textFirst };
  const start = textFirst ? 5 : 0;
  const mask: HostMask = { kind: 'neighbourhood', grid: [2, 4, 6], window: [2, 3, 3], start, others: 'seen' };
  await check({ window: [2, 3, 3] }, { queries: 53 }, { ...facts(grid), ...denoise }, mask);
  // A window over its axis is all of it, one number stands for all axes.
  const wide: HostMask = { ...mask, window: [2, 4, 4] };
  await check({ window: [4] }, { queries: 53 }, { ...facts(grid), ...denoise }, wide);
});

it('where scores are changed, the model’s own attention runs under the mask', async () => {
  const mask: HostMask = { kind: 'neighbourhood', grid: [7, 9], window: [3, 3] };
  const scoreModifiers = [{ kind: 'softCap', cap: 1.5 }] as const;
  await check({ window: [3] }, { queries: 63 }, { ...facts(plane), ...denoise, scoreModifiers }, mask);
});

it('prompts of causal models: windows of groups, nothing behind the query', async () => {
  const mask: HostMask = { kind: 'neighbourhood', grid: [40], window: [8], stride: [4], causal: [true] };
  await check({ window: [8], stride: [4] }, { queries: 40 }, { causal: true, phase: 'prefill' }, mask);
  // The second half of a prompt, behind what the cache holds.
  await check({ window: [8], stride: [4] }, { queries: 20, keys: 40 }, { causal: true, phase: 'prefill' }, mask);
});

it('encoders see a line both ways', async () => {
  const mask: HostMask = { kind: 'neighbourhood', grid: [40], window: [8], dilation: [2] };
  await check({ window: [8], dilation: [2] }, { queries: 40 }, { causal: false, phase: 'encode' }, mask);
});

it('attention over other tokens, and decoding, stay dense', async () => {
  await check({ window: [3] }, { queries: 63, keys: 20 }, { ...facts(plane), ...denoise }, undefined);
  await check({ window: [3] }, { queries: 1, keys: 20 }, { causal: true, phase: 'decode' }, undefined);
});

it('first steps and other layers stay dense; plans are made once per size', async () => {
  const method = gna({ window: [3], denseSteps: 1, layers: [1] });
  const own = { layers: 2, heads, kvHeads, headSize, causal: false, denoisingSteps: 3, tokenGrid: plane };
  const run = bareRun(gpu, method, own);
  const [q, k, v] = [heads, kvHeads, kvHeads].map((count, at) =>
    gpu.tensor(randomArray(count * 63 * headSize, at), [1, count, 63, headSize]),
  ) as [Tensor, Tensor, Tensor];
  const outputOf = async (index: number, layer: number) => {
    run.denoisingStep = { index, count: 3, stage: 0 };
    const output = gpu.tidy(() => attention(gpu, q, k, v, { run, layer, causal: false }).output);
    const data = await output.read();
    output.dispose();
    return data;
  };
  const dense = gpu.tidy(() => attention(q, k, v).output);
  const expected = await dense.read();
  expect(await outputOf(0, 1)).toEqual(expected);
  expect(await outputOf(1, 0)).toEqual(expected);
  const sparse = await outputOf(1, 1);
  expect(sparse).not.toEqual(expected);
  expect(await outputOf(2, 1)).toEqual(sparse);
  run.dispose();
  for (const tensor of [q, k, v, dense]) tensor.dispose();
});

it('refuses a grid of other axes than its options', async () => {
  const run = check({ window: [3, 3, 3] }, { queries: 63 }, { ...facts(plane), ...denoise }, undefined);
  await expect(run).rejects.toThrow(RefusedError);
  const line = check({ window: [3, 3] }, { queries: 40 }, { causal: true, phase: 'prefill' }, undefined);
  await expect(line).rejects.toThrow(/2 entries/);
  expect(() => gna({ window: [1] })).toThrow(/window/);
  expect(gnaOptions.window.default).toEqual([8]);
});

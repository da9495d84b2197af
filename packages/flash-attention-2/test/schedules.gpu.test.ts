import { OptionError, ShapeError } from '@saccade/core';
import { assertClose, modestGpu, randomArray, sharedGpu } from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import {
  flashAttention,
  flashAttention1,
  flashAttention1Backward,
  flashAttentionBackward,
  standardAttention,
  standardAttentionBackward,
} from '../src/index.ts';
import { flashAttentionReference, type ReferenceInput } from '../src/reference.ts';
import { flashAttentionBackwardReference } from '../src/reference-backward.ts';
import { optionsOf, randomCall, upload } from './call.ts';

const shape = { batches: 2, heads: 4, kvHeads: 2, queries: 21, keys: 37, headSize: 32 };

const calls: [string, ReferenceInput][] = [
  ['dense', randomCall(shape)],
  ['causal, with a scale', randomCall(shape, { causal: true, scale: 0.3 })],
  ['causal, rows that see nothing', randomCall({ ...shape, queries: 40 }, { causal: true })],
  ['a window to both sides', randomCall(shape, { window: [6, 2] })],
];

describe.each(calls)('schedules to compare with, %s', (_, call) => {
  it.each([
    ['three kernels', sharedGpu, 'standard'],
    ['three kernels, modest device', modestGpu, 'standard'],
    ['FlashAttention-1', sharedGpu, 'first'],
  ] as const)('%s: forward and backward equal f64', async (_name, open, which) => {
    const gpu = await open();
    const before = gpu.stats().liveBytes;
    const dOut = randomArray(call.q.length, 4);
    const options = optionsOf(call);
    const tensors = gpu.tidy(() => {
      const { q, k, v } = upload(gpu, call);
      const gradient = gpu.tensor(dOut, q.shape);
      if (which === 'standard') {
        const { out, probabilities } = standardAttention(q, k, v, options);
        const { dq, dk, dv } = standardAttentionBackward(gradient, q, k, v, probabilities, options);
        return [out, dq, dk, dv];
      }
      const { out, logSumExp } = flashAttention1(q, k, v, { ...options, keyBlock: 10 });
      const { dq, dk, dv } = flashAttention1Backward(gradient, q, k, v, out, logSumExp, { ...options, keyBlock: 10 });
      return [out, dq, dk, dv];
    });
    const [out, dq, dk, dv] = (await gpu.read(tensors)) as Float32Array[];
    for (const tensor of tensors) tensor.dispose();
    const forward = flashAttentionReference(call);
    const expected = flashAttentionBackwardReference(dOut, call, forward);
    assertClose(out as Float32Array, forward.out, { absolute: 1e-5, name: 'out' });
    const tolerance = { absolute: 5e-5, relative: 1e-4 };
    assertClose(dq as Float32Array, expected.dq, { ...tolerance, name: 'dq' });
    assertClose(dk as Float32Array, expected.dk, { ...tolerance, name: 'dk' });
    assertClose(dv as Float32Array, expected.dv, { ...tolerance, name: 'dv' });
    expect(gpu.stats().liveBytes).toBe(before);
  });
});

it('memory: N x M for three kernels, linear for FlashAttention-1 and -2', async () => {
  const gpu = await sharedGpu();
  const one = { batches: 1, heads: 2, kvHeads: 2, headSize: 32 };
  const peak = (which: 'standard' | 'first' | 'second', size: number) =>
    gpu.tidy(() => {
      const { q, k, v } = upload(gpu, randomCall({ ...one, queries: size, keys: size }));
      gpu.resetPeak();
      const before = gpu.stats().liveBytes;
      if (which === 'standard') standardAttentionBackward(q, q, k, v, standardAttention(q, k, v).probabilities);
      else if (which === 'first') {
        const { out, logSumExp } = flashAttention1(q, k, v);
        flashAttention1Backward(q, q, k, v, out, logSumExp);
      } else {
        const { out, logSumExp } = flashAttention(q, k, v);
        flashAttentionBackward(q, q, k, v, out, logSumExp);
      }
      return gpu.stats().peakBytes - before;
    });
  const growth = (which: 'standard' | 'first' | 'second') => peak(which, 1024) / peak(which, 512);
  expect(growth('standard')).toBeGreaterThan(3.5);
  expect(growth('second')).toBeLessThan(2.2);
  expect(growth('first')).toBeLessThan(2.6);
  expect(peak('second', 512)).toBeLessThan(peak('standard', 512) / 8);
  await gpu.synchronize();
});

it('bad input is refused by name', async () => {
  const gpu = await sharedGpu();
  const x = gpu.zeros([1, 3, 4, 8]);
  const y = gpu.zeros([1, 2, 4, 8]);
  const flat = gpu.zeros([4, 8]);
  expect(() => standardAttention(x, y, y)).toThrow(ShapeError);
  expect(() => flashAttention1(flat, flat, flat)).toThrow(/\[4,8\].*\[B, H, N, D\]/);
  expect(() => flashAttention1(x, x, x, { keyBlock: 0 })).toThrow(OptionError);
  expect(() => flashAttention1(x, x, x, { keyBlock: 0 })).toThrow(/keyBlock.*0.*>= 1/);
  for (const tensor of [x, y, flat]) tensor.dispose();
});

import { OptionError } from '@saccade/core';
import { assertClose, modestGpu, randomArray, sharedGpu } from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import { flashAttention, flashAttentionBackward } from '../src/index.ts';
import { firstKeyElement, flashAttentionReference, type ReferenceInput, score } from '../src/reference.ts';
import { flashAttentionBackwardReference } from '../src/reference-backward.ts';
import { optionsOf, randomCall, upload } from './call.ts';

const gpu = await sharedGpu();
const grouped = { batches: 1, heads: 4, kvHeads: 2 };

/** Forward and backward in one recording: nothing is read back between them. */
async function gradients(call: ReferenceInput, dOut: ArrayLike<number>, device = gpu) {
  const { readbacks, liveBytes } = device.stats();
  const tensors = device.tidy(() => {
    const { q, k, v } = upload(device, call);
    const { out, logSumExp } = flashAttention(q, k, v, optionsOf(call));
    return flashAttentionBackward(device.tensor(dOut, q.shape), q, k, v, out, logSumExp, optionsOf(call));
  });
  expect(device.stats().readbacks).toBe(readbacks);
  const [dq, dk, dv] = (await device.read([tensors.dq, tensors.dk, tensors.dv])) as Float32Array[];
  for (const tensor of Object.values(tensors)) tensor.dispose();
  expect(device.stats().liveBytes).toBe(liveBytes);
  return { dq, dk, dv } as { dq: Float32Array; dk: Float32Array; dv: Float32Array };
}

async function compare(call: ReferenceInput, device = gpu): Promise<void> {
  const dOut = randomArray(call.q.length, 4);
  const actual = await gradients(call, dOut, device);
  const expected = flashAttentionBackwardReference(dOut, call, flashAttentionReference(call));
  for (const name of ['dq', 'dk', 'dv'] as const)
    assertClose(actual[name], expected[name], { absolute: 5e-5, relative: 1e-4, name });
}

describe('check 7: gradients equal f64', () => {
  it.each<[string, ReferenceInput]>([
    ['ragged, grouped', randomCall({ ...grouped, queries: 33, keys: 65, headSize: 24 })],
    ['causal, fewer queries', randomCall({ ...grouped, queries: 5, keys: 41, headSize: 24 }, { causal: true })],
    ['rows that see nothing', randomCall({ ...grouped, queries: 40, keys: 7, headSize: 24 }, { causal: true })],
    [
      'a window, soft-capped',
      randomCall({ ...grouped, queries: 37, keys: 50, headSize: 24 }, { window: [9, 4], softcap: 2 }),
    ],
    ['a single pair', randomCall({ ...grouped, queries: 1, keys: 1, headSize: 24 })],
  ])('%s', async (_, call) => {
    await compare(call);
  });

  it('on the modest device', async () => {
    await compare(randomCall({ ...grouped, queries: 33, keys: 65, headSize: 24 }, { causal: true }), await modestGpu());
  });

  it('equal central differences of the f64 forward pass to 1e-4', async () => {
    const call = randomCall(
      { batches: 1, heads: 2, kvHeads: 1, queries: 5, keys: 9, headSize: 24 },
      { causal: true, window: [5, 0], softcap: 3 },
    );
    const dOut = randomArray(call.q.length, 4);
    const { dq, dk, dv } = await gradients(call, dOut);
    const loss = (changed: Partial<ReferenceInput>) =>
      flashAttentionReference({ ...call, ...changed }).out.reduce((sum, x, at) => sum + x * (dOut[at] as number), 0);
    for (const [name, gradient] of [
      ['q', dq],
      ['k', dk],
      ['v', dv],
    ] as const) {
      const numbers = Float64Array.from(call[name]);
      const differences = numbers.map((middle, at) => {
        const moved = (step: number) => loss({ [name]: numbers.with(at, middle + step) });
        return (moved(1e-5) - moved(-1e-5)) / 2e-5;
      });
      assertClose(gradient, differences, { relative: 1e-4, absolute: 1e-5, name });
    }
  });

  it('gradients by scores sum to zero in each row', async () => {
    // Where the last feature is 1 in every key, the last of dQ is that sum times the scale.
    const call = randomCall({ ...grouped, queries: 17, keys: 40, headSize: 24 }, { scale: 1 });
    const k = Float32Array.from(call.k, (value, index) => (index % 24 === 23 ? 1 : value / 5));
    const { dq } = await gradients({ ...call, k }, randomArray(call.q.length, 4));
    const sums = dq.filter((_, index) => index % 24 === 23);
    assertClose(sums, new Float32Array(sums.length), { absolute: 1e-5 });
  });

  it('dV is P^T dO, summed over the heads of a group', async () => {
    const call = randomCall({ ...grouped, queries: 9, keys: 20, headSize: 24 });
    const dOut = randomArray(call.q.length, 4);
    const { dv } = await gradients(call, dOut);
    const { logSumExp } = flashAttentionReference(call);
    const expected = new Float64Array(dv.length);
    logSumExp.forEach((lse, row) => {
      const head = Math.floor(row / 9);
      for (let key = 0; key < 20; key++) {
        const probability = Math.exp(score(call, head, row % 9, key) - lse);
        const at = firstKeyElement(call, head) + key * 24;
        for (let d = 0; d < 24; d++) expected[at + d]! += probability * (dOut[row * 24 + d] as number);
      }
    });
    assertClose(dv, expected, { absolute: 1e-5 });
    // Probabilities of a row sum to 1: so do the columns of dV to those of dO.
    const columns = (data: ArrayLike<number>) =>
      Array.from({ length: 24 }, (_, d) => Array.from(data).reduce((sum, x, at) => sum + (at % 24 === d ? x : 0), 0));
    assertClose(columns(dv), columns(dOut), { absolute: 1e-4 });
  });
});

it('refuses an option out of range', () => {
  const refused = () =>
    gpu.tidy(() => {
      const x = gpu.zeros([1, 1, 2, 8]);
      flashAttentionBackward(x, x, x, x, x, gpu.zeros([1, 1, 2]), { softcap: -1 });
    });
  expect(refused).toThrow(OptionError);
  expect(refused).toThrow(/softcap.*-1.*>= 0/);
});

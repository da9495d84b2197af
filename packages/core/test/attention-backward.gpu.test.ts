import { describe, expect, it } from 'vitest';
import {
  ArgumentError,
  type AttentionGradients,
  type AttentionOptions,
  attention,
  attentionBackward,
  type BlockList,
  type Gpu,
  ShapeError,
  type Tensor,
} from '../src/index.ts';
import { lowestScore } from '../src/kernels/wgsl.ts';
import {
  type AttentionReference,
  assertClose,
  attentionBackwardReference,
  attentionReference,
  modestGpu,
  openModestGpu,
  poisonRows,
  randomArray,
  sharedGpu,
} from '../src/testing/index.ts';
import { type AttentionCase, deviceCall, referenceInput } from './attention-case.ts';
import { goldenTensors } from './golden-tensors.ts';

const gpu = await sharedGpu();
const golden = goldenTensors('attention-backward');

async function readGradients(gradients: AttentionGradients) {
  const { dq, dk, dv } = gradients;
  const result = { dq: await dq.read(), dk: await dk.read(), dv: await dv.read() };
  for (const tensor of [dq, dk, dv]) tensor.dispose();
  return result;
}

/** Output and log-sum-exp of f64 as the forward pass hands them over. */
function uploadForward(device: Gpu, { output, logSumExp }: AttentionReference, shape: readonly number[]) {
  const sentinels = Array.from(logSumExp, (value) => Math.max(value, lowestScore));
  return { output: device.tensor(output, shape), logSumExp: device.tensor(sentinels, shape.slice(0, 3)) };
}

/** The backward pass of a case, compared with f64; nothing is read back in between. */
async function checkBackward(device: Gpu, run: AttentionCase): Promise<void> {
  const input = referenceInput(run);
  const dOut = randomArray(input.q.length, 4);
  const { readbacks } = device.stats();
  const gradients = device.tidy(() => {
    const { q, k, v, options } = deviceCall(device, run, input);
    const forward = uploadForward(device, attentionReference(input), q.shape);
    return attentionBackward(device.tensor(dOut, q.shape), q, k, v, { ...options, ...forward });
  });
  expect(device.stats().readbacks).toBe(readbacks);
  await compare(gradients, attentionBackwardReference(dOut, input), run.dtype === 'f16' ? 2e-2 : 5e-5);
}

async function compare(
  gradients: AttentionGradients,
  expected: Readonly<Record<'dq' | 'dk' | 'dv', ArrayLike<number>>>,
  absolute: number,
): Promise<void> {
  const actual = await readGradients(gradients);
  for (const name of ['dq', 'dk', 'dv'] as const) {
    assertClose(actual[name], expected[name], { absolute, relative: 1e-4, name });
  }
}

const grouped = { batches: 2, heads: 4, kvHeads: 2 };
const single = { batches: 1, heads: 2, kvHeads: 1 };

/** Blocks of 32 queries and keys: each query block looks at the blocks that are listed for it, the second at none. */
const blocks: BlockList<number[]> = {
  indices: [0, 2, 9, 9, 1, 0],
  counts: [2, 0, 1],
  queryBlock: 32,
  keyBlock: 32,
  per: 'kvHead',
};

const devices = [
  ['full', sharedGpu],
  ['modest', modestGpu],
] as const;

/** Rows that a workgroup owns, for head sizes up to 64, in either layout. */
const ownRows = 32;

describe.each(devices)('attentionBackward on the %s device', (_, open) => {
  it.each<[string, AttentionCase]>([
    ['grouped heads, one past a tile', { ...grouped, queries: 33, keys: 65, headSize: 24 }],
    ['causal, fewer queries', { ...grouped, queries: 5, keys: 41, headSize: 24, causal: true }],
    ['causal, rows that see nothing', { ...grouped, queries: 40, keys: 7, headSize: 24, causal: true }],
    [
      'lengths on the device and a window',
      {
        ...grouped,
        ...{ queries: 37, keys: 70, headSize: 24, causal: true, slidingWindow: 11 },
        ...{ keyLengths: [70, 3], queryLengths: [37, 5] },
      },
    ],
    ['blocks', { ...single, queries: 70, keys: 96, headSize: 24, mask: { kind: 'blocks', list: blocks } }],
  ])('equals f64: %s', async (_, run) => {
    await checkBackward(await open(), run);
  });
});

describe('attentionBackward', () => {
  it.each<[string, Partial<AttentionOptions>]>([
    ['causal', { causal: true }],
    ['fewer_queries', { causal: true }],
    ['fewer_keys', { causal: true }],
    ['one', {}],
    ['two', { causal: true }],
    ['wide', {}],
    ['window', { causal: true, slidingWindow: 9 }],
    ['soft_cap', { scoreModifiers: [{ kind: 'softCap', cap: 2.5 }] }],
  ])("equals PyTorch's gradients: %s", async (name, options) => {
    const tensor = (role: string) => golden(`${name}.${role}`);
    const gradients = gpu.tidy(() => {
      const upload = (role: string) => gpu.tensor(tensor(role).data, tensor(role).shape);
      const logSumExp = Array.from(tensor('lse').data, (value) => Math.max(value, lowestScore));
      return attentionBackward(upload('dout'), upload('q'), upload('k'), upload('v'), {
        ...options,
        output: upload('out'),
        logSumExp: gpu.tensor(logSumExp, tensor('lse').shape),
      });
    });
    const [dq, dk, dv] = [tensor('dq').data, tensor('dk').data, tensor('dv').data];
    await compare(gradients, { dq, dk, dv }, 1e-4);
  });

  it.each([80, 130, 256])('equals f64: head size %i, several tiles', async (headSize) => {
    await checkBackward(gpu, { ...single, queries: 37, keys: 70, headSize, scale: 0.1 });
  });

  it.each<[string, Partial<AttentionCase>]>([
    [
      'soft-cap, ALiBi, sinks, bias',
      {
        scoreModifiers: [
          { kind: 'alibi', slopes: [0.1, 0.2] },
          { kind: 'softCap', cap: 1.5 },
          { kind: 'bias', bias: randomArray(2 * 37 * 50, 9) },
          { kind: 'sinks', logits: [0.5, -1] },
        ],
      },
    ],
    ['multipliers before', { keyMultipliers: { factors: randomArray(2 * 50, 9).map(Math.abs), renormalise: true } }],
    ['multipliers behind', { keyMultipliers: { factors: randomArray(2 * 50, 9), renormalise: false } }],
    ['a grid', { mask: { kind: 'neighbourhood', grid: [5, 10], window: [3, 3] }, queryOffset: 4 }],
    [
      'a token list and a window',
      {
        mask: {
          kind: 'anyOf',
          parts: [
            {
              kind: 'allOf',
              parts: [
                { kind: 'causal' },
                { kind: 'tokens', list: { indices: [3, 44, 9, 60, 1, 2, 40, 0], counts: [3, 4], per: 'queryHead' } },
              ],
            },
            { kind: 'slidingWindow', before: 4, after: 1 },
          ],
        },
      },
    ],
    [
      'small blocks and a prefix',
      {
        mask: {
          kind: 'anyOf',
          parts: [
            {
              kind: 'blocks',
              list: { indices: [0, 3, 2, 1, 4, 0, 1, 2], queryBlock: 10, keyBlock: 12, per: 'kvHead' },
            },
            { kind: 'prefix', length: 3 },
          ],
        },
      },
    ],
    ['f16 keys', { dtype: 'f16' }],
  ])('equals f64: %s', async (_, change) => {
    await checkBackward(gpu, { ...single, queries: 37, keys: 50, headSize: 20, ...change });
  });

  it.each<[string, AttentionCase]>([
    [
      'all three sources in one, lists per query block and per query head',
      {
        ...{ ...grouped, queries: 21, keys: 70, headSize: 12, queryLengths: [21, 13], keyLengths: [70, 55] },
        mask: {
          kind: 'anyOf',
          parts: [
            {
              kind: 'tokens',
              list: {
                // Lists of three rows for each batch entry, query head and three query blocks.
                indices: Array.from({ length: 2 * 4 * 3 * 3 }, (_, entry) => (entry * 23 + 5) % 70),
                ...{ per: 'queryHead', queryBlock: 8 },
              },
            },
            {
              kind: 'allOf',
              parts: [
                {
                  kind: 'blocks',
                  list: {
                    indices: Array.from({ length: 2 * 2 * 2 * 2 }, (_, entry) => (entry * 3) % 7),
                    ...{ counts: [1, 2, 2, 0, 1, 2, 1, 2], per: 'kvHead', queryBlock: 16, keyBlock: 10 },
                  },
                },
                { kind: 'strided', stride: 2 },
              ],
            },
            { kind: 'prefix', length: [2, 5] },
          ],
        },
      },
    ],
    [
      'bounds of a mask in both directions, on one head',
      {
        ...{ batches: 1, heads: 1, kvHeads: 1, queries: 100, keys: 130, headSize: 4 },
        mask: {
          kind: 'allOf',
          parts: [
            { kind: 'causal' },
            { kind: 'slidingWindow', before: 12, after: 3, dilation: 3 },
            { kind: 'not', part: { kind: 'prefix', length: 40 } },
          ],
        },
      },
    ],
  ])('equals f64: %s', async (_, run) => {
    await checkBackward(gpu, run);
    await checkBackward(await modestGpu(), run);
  });

  it('takes positions of rows that stand in any order', async () => {
    const sizes = { ...single, queries: 6, keys: 9, headSize: 8 };
    const input = {
      ...referenceInput(sizes),
      ...{ causal: true, queryOffset: 4, keyPositions: [8, 3, 1, 0, 9, 5, 2, 6, 4] },
    };
    const dOut = randomArray(input.q.length, 4);
    const gradients = gpu.tidy(() => {
      const { q, k, v } = deviceCall(gpu, sizes, input);
      const keyPositions = gpu.tensor(input.keyPositions, [1, 1, 9], 'u32');
      return attentionBackward(gpu.tensor(dOut, q.shape), q, k, v, {
        ...{ causal: true, queryOffset: 4, keyPositions },
        ...uploadForward(gpu, attentionReference(input), q.shape),
      });
    });
    await compare(gradients, attentionBackwardReference(dOut, input), 1e-5);
  });

  it('follows a forward pass on the device, with strided queries and gradients, and frees what it took', async () => {
    const run = { ...single, queries: 5, keys: 7, headSize: 12, causal: true };
    const input = referenceInput(run);
    const dOut = randomArray(input.q.length, 4);
    const { liveBytes } = gpu.stats();
    const gradients = gpu.tidy(() => {
      const { k, v } = deviceCall(gpu, run, input);
      const strided = (data: ArrayLike<number>) =>
        gpu.tensor(headsLast(data, [2, 5, 12]), [1, 5, 2, 12]).transpose(0, 2, 1, 3);
      const q = strided(input.q);
      const { output, logSumExp } = attention(q, k, v, { causal: true, returnLogSumExp: true });
      const options = { causal: true, output, logSumExp: logSumExp as Tensor };
      return attentionBackward(strided(dOut), q, k, v, options);
    });
    await compare(gradients, attentionBackwardReference(dOut, input), 1e-5);
    expect(gpu.stats().liveBytes).toBe(liveBytes);
  });

  it.each(devices)(
    'loads only listed blocks, by poison and by count, and reproduces bit by bit: %s',
    async (_, open) => {
      const gpu = await open();
      // Four query blocks look at 1, 0, 2 and 1 of the key blocks 0 to 3 of the two key/value heads; nobody looks at block 3.
      const shape = { batches: 1, heads: 4, kvHeads: 2, queries: 128, keys: 128, headSize: 8 };
      const lists = [0, 9, 9, 9, 2, 1, 1, 9];
      const list: BlockList<number[]> = {
        ...{ indices: [...lists, ...lists], counts: [1, 0, 2, 1, 1, 0, 2, 1] },
        ...{ queryBlock: 32, keyBlock: 32, per: 'kvHead' },
      };
      const run: AttentionCase = { ...shape, mask: { kind: 'blocks', list } };
      const input = referenceInput(run);
      const dOut = randomArray(input.q.length, 4);
      const forward = attentionReference(input);
      const record = (k: ArrayLike<number>, v: ArrayLike<number>, counter?: Tensor) =>
        gpu.tidy(() => {
          const call = deviceCall(gpu, run, { q: input.q, k, v });
          return attentionBackward(gpu.tensor(dOut, call.q.shape), call.q, call.k, call.v, {
            ...call.options,
            ...uploadForward(gpu, forward, call.q.shape),
            ...(counter ? { streamedRowCounter: counter } : {}),
          });
        });
      const clean = await readGradients(record(input.k, input.v));
      expect(await readGradients(record(input.k, input.v))).toEqual(clean);
      const poison = (data: ArrayLike<number>) => poisonRows(data, [1, 2, 128, 8], (_, row) => row < 96);
      expect(await readGradients(record(poison(input.k), poison(input.v)))).toEqual(clean);
      const counter = gpu.zeros([2], 'u32');
      await readGradients(record(input.k, input.v, counter));
      // Four listed pairs of blocks for each of the four query heads, each loaded for the workgroups of a block.
      const each = 4 * 4 * 32 * (32 / ownRows);
      expect([...(await counter.read())]).toEqual([each, each]);
      counter.dispose();
    },
  );

  it.each(devices)('passes over what causality hides: %s', async (_, open) => {
    const gpu = await open();
    const counter = gpu.zeros([2], 'u32');
    gpu.tidy(() => {
      const tensor = gpu.tensor(randomArray(128 * 4, 1), [1, 1, 128, 4]);
      const { output, logSumExp } = attention(tensor, tensor, tensor, { causal: true, returnLogSumExp: true });
      attentionBackward(tensor, tensor, tensor, tensor, {
        ...{ causal: true, output, logSumExp: logSumExp as Tensor, streamedRowCounter: counter },
      });
    });
    // Queries load keys up to their last one. Keys load the tiles of 32 queries that see any of them: 4 + 3 + 2 + 1 of 16.
    const keyRows = (128 * (128 / ownRows + 1)) / 2;
    expect([...(await counter.read())]).toEqual([keyRows, (10 * 32 * 32) / ownRows]);
    counter.dispose();
  });

  it('takes memory that grows linearly with the length', async () => {
    const device = await openModestGpu();
    const peakOf = async (length: number): Promise<number> => {
      const gradients = device.tidy(() => {
        const rows = device.tensor(randomArray(length * 8, 1), [1, 1, length, 8]);
        const logSumExp = device.zeros([1, 1, length]);
        return attentionBackward(rows, rows, rows, rows, { output: rows, logSumExp });
      });
      await readGradients(gradients);
      return device.stats().peakBytes;
    };
    const [short, long] = [await peakOf(512), await peakOf(1024)];
    expect(long / short).toBeLessThan(2.1);
    device.dispose();
  });

  it('refuses what has no gradient, and shapes that do not fit', () => {
    gpu.tidy(() => {
      const rows = gpu.zeros([1, 2, 3, 4]);
      const forward = { output: rows, logSumExp: gpu.zeros([1, 2, 3]) };
      const call =
        (options: object, dOut = rows) =>
        () =>
          attentionBackward(dOut, rows, rows, rows, { ...forward, ...options });
      expect(call({ normalizer: forward.logSumExp })).toThrow(ArgumentError);
      expect(call({ givenProbabilities: {} })).toThrow(ArgumentError);
      expect(call({ keyStarts: gpu.zeros([1, 2], 'u32') })).toThrow(ArgumentError);
      expect(call({ scoreModifiers: [{ kind: 'custom', wgsl: () => 'score' }] })).toThrow(ArgumentError);
      expect(call({ logSumExp: rows })).toThrow(ShapeError);
      expect(call({}, gpu.zeros([1, 2, 4, 4]))).toThrow(ShapeError);
    });
  });
});

/** [H, N, D] as [N, H, D]. */
function headsLast(data: ArrayLike<number>, [heads, rows, size]: readonly [number, number, number]): Float32Array {
  return Float32Array.from({ length: heads * rows * size }, (_, index) => {
    const [row, head, d] = [Math.floor(index / (heads * size)), Math.floor(index / size) % heads, index % size];
    return data[(head * rows + row) * size + d] as number;
  });
}

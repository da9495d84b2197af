import { describe, expect, it } from 'vitest';
import {
  ArgumentError,
  attention,
  attentionProbabilities,
  ShapeError,
  type Tensor,
  weightedValues,
} from '../src/index.ts';
import {
  assertClose,
  countKeyRows,
  attentionProbabilities as explicitProbabilities,
  modestGpu,
  poisonRows,
  randomArray,
  sharedGpu,
} from '../src/testing/index.ts';

const [batches, heads, kvHeads, queries, keys, headSize] = [2, 6, 2, 3, 70, 20];
const qData = randomArray(batches * heads * queries * headSize, 1);
const kData = randomArray(batches * kvHeads * keys * headSize, 2);
const vData = randomArray(batches * kvHeads * keys * headSize, 3);
const kvShape = [batches, kvHeads, keys, headSize];

/** Ascending distinct rows, k per batch entry and key/value head. */
function listedRows(k: number): number[] {
  return Array.from({ length: batches * kvHeads * k }, (_, at) => {
    const [head, entry] = [Math.floor(at / k), at % k];
    return Math.floor(((entry + 0.3 + 0.1 * head) * keys) / k);
  });
}

describe('attentionProbabilities', () => {
  it('is the explicit matrix, causal, with fewer valid keys than stored', async () => {
    for (const gpu of [await sharedGpu(), await modestGpu()]) {
      const result = gpu.tidy(() =>
        attentionProbabilities(gpu.tensor(qData, [batches, heads, queries, headSize]), gpu.tensor(kData, kvShape), {
          causal: true,
          keyLength: 61,
        }),
      );
      expect(result.shape).toEqual([batches, heads, queries, keys]);
      const input = { batches, heads, kvHeads, queries, keys, headSize, q: qData, k: kData, v: vData };
      const expected = explicitProbabilities({ ...input, causal: true, keyLength: 61 });
      assertClose(await result.read(), expected, { absolute: 1e-6 });
      result.dispose();
    }
  });

  it('by the entries of a list: other rows may hold NaN, and each listed one is loaded once', async () => {
    const gpu = await sharedGpu();
    const k = 12;
    const list = listedRows(k);
    const probabilities = async (data: ArrayLike<number>, keyRowCounter?: Tensor) => {
      const result = gpu.tidy(() =>
        attentionProbabilities(
          gpu.tensor(qData.subarray(0, batches * heads * headSize), [batches, heads, 1, headSize]),
          gpu.tensor(data, kvShape),
          {
            tokens: { indices: gpu.tensor(list, [batches, kvHeads, k], 'u32'), per: 'kvHead' },
            ...(keyRowCounter ? { keyRowCounter } : {}),
          },
        ),
      );
      expect(result.shape).toEqual([batches, heads, 1, k]);
      const read = await result.read();
      result.dispose();
      return read;
    };
    const own = await probabilities(kData);
    for (let head = 0; head < batches * heads; head++) {
      const group = Math.floor((head * kvHeads) / heads);
      const scores = list.slice(group * k, (group + 1) * k).map((row) => {
        let sum = 0;
        for (let d = 0; d < headSize; d++)
          sum += (qData[head * headSize + d] as number) * (kData[(group * keys + row) * headSize + d] as number);
        return Math.exp(sum / Math.sqrt(headSize));
      });
      const total = scores.reduce((sum, score) => sum + score, 0);
      const expected = scores.map((score) => score / total);
      assertClose(own.subarray(head * k, (head + 1) * k), expected, { absolute: 1e-6, name: `head ${head}` });
    }
    const kept = (head: number, row: number) => list.slice(head * k, (head + 1) * k).includes(row);
    expect(await probabilities(poisonRows(kData, kvShape, kept))).toEqual(own);
    const counter = gpu.zeros([1], 'u32');
    await probabilities(kData, counter);
    expect([...(await counter.read())]).toEqual([batches * kvHeads * k]);
    counter.dispose();
  });

  it('refuses what it cannot answer', async () => {
    const gpu = await sharedGpu();
    gpu.tidy(() => {
      const q = gpu.zeros([1, 4, 1, 16]);
      expect(() => attentionProbabilities(q, gpu.zeros([1, 3, 8, 16]))).toThrow(ShapeError);
      const indices = gpu.zeros([1, 2, 1, 4], 'u32');
      const tokens = { indices, per: 'kvHead', queryBlock: 1 } as const;
      expect(() => attentionProbabilities(q, gpu.zeros([1, 2, 8, 16]), { tokens })).toThrow(/per query block/);
    });
  });
});

describe('weightedValues', () => {
  it('with the probabilities of all keys is attention', async () => {
    for (const gpu of [await sharedGpu(), await modestGpu()]) {
      const [own, expected] = gpu.tidy(() => {
        const q = gpu.tensor(qData, [batches, heads, queries, headSize]);
        const [k, v] = [gpu.tensor(kData, kvShape), gpu.tensor(vData, kvShape)];
        const weights = attentionProbabilities(q, k, { causal: true });
        const rows = Array.from({ length: batches * heads * queries * keys }, (_, at) => at % keys);
        const indices = gpu.tensor(rows, [batches, heads, queries, keys], 'u32');
        return [weightedValues(v, { indices, weights }), attention(q, k, v, { causal: true }).output];
      });
      assertClose(await own.read(), await expected.read(), { absolute: 1e-5 });
      own.dispose();
      expected.dispose();
    }
  });

  it('reads listed rows with a weight only: others may hold NaN, and the count is theirs', async () => {
    const gpu = await sharedGpu();
    const k = 5;
    const indices = Array.from({ length: heads * k }, (_, at) => (at * 17) % keys);
    const weights = indices.map((_, at) => (at % k === 2 ? 0 : at / 7 - 1));
    const kept = (head: number, row: number) =>
      indices.some(
        (each, at) => weights[at] !== 0 && each === row && Math.floor((Math.floor(at / k) * kvHeads) / heads) === head,
      );
    const shape = [1, kvHeads, keys, headSize];
    const data = vData.subarray(0, kvHeads * keys * headSize);
    const output = async (values: ArrayLike<number>, valueRowCounter?: Tensor) => {
      const result = gpu.tidy(() =>
        weightedValues(gpu.tensor(values, shape), {
          indices: gpu.tensor(indices, [1, heads, 1, k], 'u32'),
          weights: gpu.tensor(weights, [1, heads, 1, k]),
          ...(valueRowCounter ? { valueRowCounter } : {}),
        }),
      );
      const read = await result.read();
      result.dispose();
      return read;
    };
    const own = await output(data);
    const expected = Array.from({ length: heads * headSize }, (_, at) => {
      const [head, d] = [Math.floor(at / headSize), at % headSize];
      const base = Math.floor((head * kvHeads) / heads) * keys;
      let sum = 0;
      for (let entry = 0; entry < k; entry++)
        sum +=
          (weights[head * k + entry] as number) *
          (data[(base + (indices[head * k + entry] as number)) * headSize + d] as number);
      return sum;
    });
    assertClose(own, expected, { absolute: 1e-5 });
    expect(await output(poisonRows(data, shape, kept))).toEqual(own);
    expect(await countKeyRows(gpu, (counter) => void output(data, counter))).toBe(heads * (k - 1));
  });

  it('refuses shapes and types that do not fit, by name', async () => {
    const gpu = await sharedGpu();
    gpu.tidy(() => {
      const v = gpu.zeros([1, 2, 8, 16]);
      const indices = gpu.zeros([1, 4, 1, 3], 'u32');
      const weights = gpu.zeros([1, 4, 1, 3]);
      expect(() => weightedValues(v, { indices, weights: gpu.zeros([1, 4, 1, 2]) })).toThrow(ShapeError);
      expect(() => weightedValues(v, { indices: gpu.zeros([1, 3, 1, 3], 'u32'), weights })).toThrow(/multiple of 2/);
      expect(() => weightedValues(v, { indices: weights, weights })).toThrow(ArgumentError);
      expect(() => weightedValues(v, { indices, weights: indices })).toThrow(/weights/);
    });
  });
});

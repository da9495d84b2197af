import { describe, expect, it } from 'vitest';
import {
  ArgumentError,
  attention,
  type Gpu,
  type HeadReduction,
  ShapeError,
  type Tensor,
  topKeys,
} from '../src/index.ts';
import {
  type AttentionReferenceInput,
  assertClose,
  attentionScores,
  modestGpu,
  randomArray,
  sharedGpu,
  visibleRows,
} from '../src/testing/index.ts';

interface Case {
  readonly batches: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly queries: number;
  readonly keys: number;
  readonly valid: number;
  readonly headSize: number;
  readonly k: number;
  readonly force: number;
}

/** Lists in f64: the k highest mean scores, ties to the lower position, the newest `force` always. */
function reference(c: Case, q: Float32Array, keys: Float32Array, per: 'queryHead' | 'kvHead'): number[][] {
  const group = c.heads / c.kvHeads;
  const lists: number[][] = [];
  for (let batch = 0; batch < c.batches; batch++) {
    for (let row = 0; row < (per === 'kvHead' ? c.kvHeads : c.heads); row++) {
      const kvHead = per === 'kvHead' ? row : Math.floor(row / group);
      const members = per === 'kvHead' ? Array.from({ length: group }, (_, member) => row * group + member) : [row];
      const scores = Array.from({ length: c.valid }, (_, key) => {
        if (key >= c.valid - c.force) return Number.POSITIVE_INFINITY;
        let sum = 0;
        for (const head of members) {
          for (let query = 0; query < c.queries; query++) {
            for (let d = 0; d < c.headSize; d++) {
              const own = q[((batch * c.heads + head) * c.queries + query) * c.headSize + d] as number;
              sum += own * (keys[((batch * c.kvHeads + kvHead) * c.keys + key) * c.headSize + d] as number);
            }
          }
        }
        return sum / members.length / c.queries;
      });
      const order = scores.map((_, key) => key).sort((a, b) => (scores[b] as number) - (scores[a] as number) || a - b);
      lists.push(order.slice(0, c.k).sort((a, b) => a - b));
    }
  }
  return lists;
}

async function readAndDispose(tensor: Tensor): Promise<Uint32Array> {
  const data = await tensor.read();
  tensor.dispose();
  return data as Uint32Array;
}

async function check(gpu: Gpu, c: Case, per: 'queryHead' | 'kvHead', device: boolean): Promise<void> {
  const q = randomArray(c.batches * c.heads * c.queries * c.headSize, 1);
  const rows = randomArray(c.batches * c.kvHeads * c.keys * c.headSize, 2);
  // Rows past the valid length hold NaN: reading one would show.
  const poisoned = rows.map((value, index) => (Math.floor(index / c.headSize) % c.keys < c.valid ? value : Number.NaN));
  const indices = await readAndDispose(
    gpu.tidy((): Tensor => {
      const length = device ? gpu.tensor(new Array(c.batches).fill(c.valid), [c.batches], 'u32') : c.valid;
      const keys = gpu.tensor(poisoned, [c.batches, c.kvHeads, c.keys, c.headSize]);
      const query = gpu.tensor(q, [c.batches, c.heads, c.queries, c.headSize]);
      return topKeys(query, keys, { k: c.k, per, keyLength: length, forceNewest: c.force }).indices;
    }),
  );
  const expected = reference(c, q, rows, per);
  const lists = expected.map((_, row) => [...indices.subarray(row * c.k, (row + 1) * c.k)]);
  expect(lists).toEqual(expected);
}

const base: Case = { batches: 1, heads: 6, kvHeads: 2, queries: 1, keys: 97, valid: 97, headSize: 64, k: 13, force: 0 };

/** A causal case with lists per block of queries. */
interface MaskedCase
  extends Pick<AttentionReferenceInput, 'batches' | 'heads' | 'kvHeads' | 'queries' | 'keys' | 'headSize'> {
  readonly k: number;
  readonly per: HeadReduction;
  readonly queryBlock?: number;
  readonly forceNewest?: number;
  readonly forceOldest?: number;
  readonly slidingWindow?: number;
  readonly queryOffset?: number;
  readonly keyLengths?: readonly number[];
}

const masked: MaskedCase = {
  batches: 1,
  heads: 6,
  kvHeads: 2,
  queries: 23,
  keys: 40,
  headSize: 16,
  k: 5,
  per: 'queryHead',
};

/** Compares the lists of some blocks with what sorting the explicit scores or probabilities gives. */
async function checkMasked(gpu: Gpu, c: MaskedCase, by: 'score' | 'probability', only?: number[]): Promise<void> {
  const { batches, heads, kvHeads, queries, keys, headSize, k, per, queryBlock, forceNewest = 0, forceOldest = 0 } = c;
  const input: AttentionReferenceInput = {
    ...c,
    q: randomArray(batches * heads * queries * headSize, 5),
    k: randomArray(batches * kvHeads * keys * headSize, 6),
    v: new Float32Array(batches * kvHeads * keys * headSize),
    causal: true,
    ...(c.keyLengths ? { keyLength: c.keyLengths } : {}),
  };
  const lists = gpu.tidy(() => {
    const q = gpu.tensor(input.q, [batches, heads, queries, headSize]);
    const kv = gpu.tensor(input.k, [batches, kvHeads, keys, headSize]);
    const options = {
      causal: true,
      ...(c.slidingWindow === undefined ? {} : { slidingWindow: c.slidingWindow }),
      ...(c.queryOffset === undefined ? {} : { queryOffset: c.queryOffset }),
      ...(c.keyLengths ? { keyLength: gpu.tensor(c.keyLengths, [batches], 'u32') } : {}),
    };
    const { logSumExp } =
      by === 'probability' ? attention(q, kv, kv, { ...options, returnLogSumExp: true }) : { logSumExp: undefined };
    return topKeys(q, kv, {
      ...options,
      k,
      per,
      forceNewest,
      forceOldest,
      ...(queryBlock === undefined ? {} : { queryBlock }),
      ...(logSumExp ? { logSumExp } : {}),
    });
  });
  const joined = per === 'queryHead' ? 1 : per === 'kvHead' ? heads / kvHeads : heads;
  const blockSize = queryBlock ?? queries;
  const blocks = Math.ceil(queries / blockSize);
  const blockAxis = queryBlock === undefined ? [] : [blocks];
  expect(lists.indices.shape).toEqual([batches, heads / joined, ...blockAxis, k]);
  expect(lists).toMatchObject({ per: per === 'queryHead' ? per : 'kvHead' });
  const indices = await readAndDispose(lists.indices);
  for (let row = 0; row < (batches * heads) / joined; row++) {
    const batch = Math.floor(row / (heads / joined));
    const firstHead = (row % (heads / joined)) * joined;
    for (const block of only ?? Array.from({ length: blocks }, (_, index) => index)) {
      const sums = new Float64Array(keys);
      const seenBy = new Float64Array(keys);
      for (let head = firstHead; head < firstHead + joined; head++) {
        for (let query = block * blockSize; query < Math.min((block + 1) * blockSize, queries); query++) {
          const rows = visibleRows(input, batch, head, query);
          const scores = attentionScores(input, batch, head, query, rows);
          const total = scores.reduce((sum, score) => sum + Math.exp(score), 0);
          rows.forEach((key, index) => {
            const score = scores[index] as number;
            sums[key]! += by === 'score' ? score : Math.exp(score) / total;
            seenBy[key]!++;
          });
        }
      }
      const seen = Array.from({ length: keys }, (_, key) => key).filter((key) => (seenBy[key] as number) > 0);
      const forced = seen.length === 0 ? [] : [...seen.slice(-forceNewest || keys), ...seen.slice(0, forceOldest)];
      const value = (key: number) => {
        if (forced.includes(key)) return Number.POSITIVE_INFINITY;
        return (sums[key] as number) / (by === 'score' ? (seenBy[key] as number) : 1);
      };
      const best = [...seen].sort((a, b) => value(b) - value(a) || a - b).slice(0, k);
      const at = (row * blocks + block) * k;
      const list = [...indices.subarray(at, at + k)];
      expect(list.filter((key) => seen.includes(key))).toEqual(best.sort((a, b) => a - b));
      expect(new Set(list).size).toBe(k);
    }
  }
}

describe('topKeys', () => {
  for (const [name, change] of [
    ['decode', {}],
    ['a cache that is not full', { valid: 65 }],
    ['the newest forced', { valid: 70, force: 3 }],
    ['one key', { keys: 1, valid: 1, k: 1 }],
    ['all keys', { k: 97 }],
    ['a head size that is no multiple of four', { headSize: 18 }],
    ['several queries and batches', { batches: 2, queries: 3, valid: 50 }],
    ['multi-head attention', { heads: 2 }],
    ['more keys than a tile of the selection', { keys: 1031, valid: 1031, k: 257, heads: 3, kvHeads: 1, headSize: 16 }],
  ] as const) {
    for (const per of ['queryHead', 'kvHead'] as const) {
      it(`${name}, lists per ${per}`, async () => {
        const c = { ...base, ...change };
        await check(await sharedGpu(), c, per, false);
        await check(await sharedGpu(), c, per, true);
        await check(await modestGpu(), c, per, false);
      });
    }
  }

  for (const [name, change] of [
    ['a list per query', { queryBlock: 1 }],
    ['lists per query block, of the mean over heads', { queryBlock: 7, per: 'allHeads' }],
    ['the newest that a block sees', { queryBlock: 7, per: 'kvHead', forceNewest: 2 }],
    ['the newest and the oldest', { queryBlock: 7, per: 'allHeads', forceNewest: 2, forceOldest: 2 }],
    ['the oldest in a window', { queryBlock: 5, slidingWindow: 9, forceOldest: 3 }],
    ['a window, one list', { slidingWindow: 6, per: 'allHeads' }],
    ['few keys seen', { queryBlock: 4, queryOffset: 2 }],
    ['ragged lengths', { batches: 2, keyLengths: [40, 23], queryBlock: 9, per: 'kvHead' }],
  ] as const) {
    for (const by of ['score', 'probability'] as const) {
      it(`by ${by}: ${name}`, async () => {
        await checkMasked(await sharedGpu(), { ...masked, ...change }, by);
      });
    }
  }

  it('holds the scores of a bounded number of query blocks', async () => {
    const gpu = await sharedGpu();
    const c = { ...masked, heads: 4, kvHeads: 1, queries: 700, keys: 2000, headSize: 4, queryBlock: 1, k: 3 };
    gpu.resetPeak();
    const live = gpu.stats().liveBytes;
    await checkMasked(gpu, c, 'score', [0, 300, 699]);
    expect(gpu.stats().peakBytes - live).toBeLessThan(4 * c.heads * c.queries * c.keys);
  });

  it('makes lists that attention takes: all keys give the dense output, few do not', async () => {
    const gpu = await sharedGpu();
    for (const per of ['queryHead', 'kvHead', 'allHeads'] as const) {
      const [dense, all, few] = gpu.tidy(() => {
        const q = gpu.tensor(randomArray(4 * 9 * 16, 7), [1, 4, 9, 16]);
        const k = gpu.tensor(randomArray(2 * 30 * 16, 8), [1, 2, 30, 16]);
        const options = { causal: true };
        const listed = (count: number) =>
          attention(q, k, k, { ...options, tokens: topKeys(q, k, { ...options, k: count, per, queryBlock: 4 }) })
            .output;
        return [attention(q, k, k, options).output, listed(30), listed(6)] as const;
      });
      const expected = await dense.read();
      assertClose(await all.read(), expected, { absolute: 1e-5 });
      const sparse = await few.read();
      expect(Math.max(...sparse.map((value, at) => Math.abs(value - (expected[at] as number))))).toBeGreaterThan(1e-3);
      for (const tensor of [dense, all, few]) tensor.dispose();
    }
  });

  it('gives ties to the lower position', async () => {
    const gpu = await sharedGpu();
    const indices = await readAndDispose(
      gpu.tidy(() => {
        const keys = gpu.tensor(new Float32Array(40 * 16).fill(1), [1, 1, 40, 16]);
        return topKeys(gpu.tensor(new Float32Array(16).fill(1), [1, 1, 1, 16]), keys, { k: 5, per: 'queryHead' })
          .indices;
      }),
    );
    expect([...indices]).toEqual([0, 1, 2, 3, 4]);
  });

  it('refuses what does not fit', async () => {
    const gpu = await sharedGpu();
    gpu.tidy(() => {
      const q = gpu.zeros([1, 4, 1, 16]);
      const keys = gpu.zeros([1, 2, 8, 16]);
      expect(() => topKeys(q, keys, { k: 0, per: 'queryHead' })).toThrow(ArgumentError);
      expect(() => topKeys(q, keys, { k: 9, per: 'queryHead' })).toThrow(/k: got 9.*1 to 8/);
      expect(() => topKeys(q, keys, { k: 2, per: 'queryHead', keyLength: 9 })).toThrow(/keyLength/);
      expect(() => topKeys(q, keys, { k: 2, per: 'queryHead', forceNewest: 3 })).toThrow(/forceNewest/);
      expect(() => topKeys(q, keys, { k: 2, per: 'queryHead', forceNewest: 1, forceOldest: 2 })).toThrow(/forceOldest/);
      expect(() => topKeys(q, keys, { k: 2, per: 'layer' as 'kvHead' })).toThrow(/per: got "layer".*allHeads/);
      expect(() => topKeys(q, keys, { k: 2, per: 'kvHead', queryBlock: 0 })).toThrow(/queryBlock/);
      expect(() => topKeys(q, keys, { k: 2, per: 'kvHead', logSumExp: gpu.zeros([1, 2, 1]) })).toThrow(/logSumExp/);
      expect(() => topKeys(q, gpu.zeros([1, 3, 8, 16]), { k: 2, per: 'queryHead' })).toThrow(ShapeError);
    });
  });
});

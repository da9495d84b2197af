import { attention, attentionKeyRows, contiguous, type Gpu, KvCache, type Tensor } from '@saccade/core';
import {
  assertClose,
  countKeyRows,
  modestGpu,
  poisonRows,
  quantizeReference,
  randomArray,
  sharedGpu,
} from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import {
  compressRows,
  importantTokens,
  makeProbes,
  normalizedScores,
  probeScores,
  sparsePrefillAttention,
  zipvl,
} from '../src/index.ts';
import {
  accumulatedScores,
  importantCount,
  normalizedReference,
  probeProbabilities,
  selectTokens,
  sparseAttentionReference,
} from '../src/reference.ts';

const gpu = await sharedGpu();
const modest = await modestGpu();

async function marked(record: () => Tensor): Promise<number[]> {
  const flags = gpu.tidy(record);
  const data = await flags.read();
  flags.dispose();
  return Array.from(data.keys()).filter((row) => data[row]);
}

const chosen = (accumulated: readonly number[], normalized: readonly number[], tau: number) =>
  marked(() => importantTokens(gpu.tensor(accumulated), gpu.tensor(normalized), tau));

it('check 2: the hand case on the GPU', async () => {
  expect(await chosen([2.5, 0.6, 0.5, 0.4], [0.625, 0.2, 0.25, 0.4], 0.85)).toEqual([0, 2, 3]);
});

it('check 3: holds the share with as few tokens as that takes', async () => {
  const scores = Array.from(randomArray(700, 5), (value) => value ** 4);
  const total = scores.reduce((sum, value) => sum + value, 0);
  let last = 0;
  for (const tau of [0.2, 0.6, 0.96, 0.999]) {
    const rows = await chosen(scores, scores, tau);
    const mass = rows.map((row) => scores[row] as number).sort((a, b) => b - a);
    const sum = mass.reduce((all, value) => all + value, 0);
    expect(sum).toBeGreaterThanOrEqual(tau * total * (1 - 1e-5));
    expect(sum - (mass.at(-1) as number)).toBeLessThan(tau * total);
    expect(rows.length).toBeGreaterThan(last);
    last = rows.length;
  }
});

it('check 5: two columns with all the mass are two tokens, equal ones the share of all', async () => {
  const two = Array.from({ length: 60 }, (_, row) => (row === 7 || row === 31 ? 31 : 0.03));
  expect(await chosen(two, two, 0.96)).toEqual([7, 31]);
  const equal = new Array<number>(300).fill(1 / 300);
  expect(await chosen(equal, equal, 0.96)).toHaveLength(Math.ceil(0.96 * 300));
});

/** Random heads [count, n, D], as data and as rows. */
function heads(count: number, n: number, size: number, seed: number) {
  const data = randomArray(count * n * size, seed);
  const rows = Array.from({ length: count }, (_, head) =>
    Array.from({ length: n }, (__, row) =>
      Array.from(data.subarray((head * n + row) * size, (head * n + row + 1) * size)),
    ),
  );
  return { data, rows, shape: [1, count, n, size] };
}

const [n, size] = [90, 16];
const [q, k, v] = [heads(4, n, size, 1), heads(2, n, size, 2), heads(2, n, size, 3)];
const important = Array.from({ length: n }, (_, row) => Number(row % 3 === 0 || row === n - 1));
const kept = important.flatMap((flag, row) => (flag ? [row] : []));
const flagsOn = (device: Gpu) => device.tensor(important, [n], 'u32');

it('probe scores are the reference’s, over shared heads', async () => {
  const probes = makeProbes(gpu, n, { recent: 5, random: 9, seed: 1 });
  const [accumulated, normalized] = gpu.tidy(() => {
    const on = [q, k, v].map(({ data, shape }) => gpu.tensor(data, shape)) as [Tensor, Tensor, Tensor];
    const scores = contiguous(probeScores(...on, probes));
    return [scores, normalizedScores(scores, probes)] as const;
  });
  const expected = accumulatedScores(
    q.rows.map((own, head) => probeProbabilities(own, k.rows[head >> 1] as number[][], probes.rows)),
  );
  const [scores, means] = await gpu.read([accumulated, normalized]);
  assertClose(scores as Float32Array, expected, { absolute: 1e-5 });
  assertClose(means as Float32Array, normalizedReference(expected, probes.rows), { absolute: 1e-5 });
  expect(expected.reduce((sum, value) => sum + value, 0)).toBeCloseTo(14);
  const flags = await marked(() => importantTokens(accumulated, normalized, 0.9, probes.forced));
  const count = importantCount(expected, 0.9);
  expect(flags).toEqual(selectTokens(normalizedReference(expected, probes.rows), count, n - 1));
  for (const each of [accumulated, normalized, probes]) each.dispose();
});

async function sparse(device: Gpu, [qs, ks, vs]: readonly ArrayLike<number>[]): Promise<Float32Array> {
  const output = device.tidy(() =>
    contiguous(
      sparsePrefillAttention(
        device.tensor(qs as ArrayLike<number>, q.shape),
        device.tensor(ks as ArrayLike<number>, k.shape),
        device.tensor(vs as ArrayLike<number>, v.shape),
        flagsOn(device),
      ),
    ),
  );
  const data = await output.read();
  output.dispose();
  return data as Float32Array;
}

describe.each([
  ['every feature', gpu],
  ['WebGPU defaults', modest],
])('check 4, with %s', (_, device) => {
  it('is dense attention of the gathered tokens, and zero for the others', async () => {
    const output = await sparse(device, [q.data, k.data, v.data]);
    const expected = q.rows.flatMap((own, head) =>
      sparseAttentionReference(own, k.rows[head >> 1] as number[][], v.rows[head >> 1] as number[][], kept).flat(),
    );
    assertClose(output, expected, { absolute: 1e-5 });
  });

  it('reads nothing of the others: poisoned queries, keys and values change no bit', async () => {
    const isKept = (__: number, row: number) => important[row] === 1;
    const poisoned = [q, k, v].map(({ data, shape }) => poisonRows(data, shape, isKept));
    expect(await sparse(device, poisoned)).toEqual(await sparse(device, [q.data, k.data, v.data]));
  });
});

it('check 4: differs from dense attention of all tokens', async () => {
  const dense = gpu.tidy(() => {
    const [a, b, c] = [q, k, v].map(({ data, shape }) => gpu.tensor(data, shape)) as [Tensor, Tensor, Tensor];
    return contiguous(attention(a, b, c, { causal: true }).output);
  });
  const all = await dense.read();
  dense.dispose();
  const own = await sparse(gpu, [q.data, k.data, v.data]);
  const row = kept[5] as number;
  const difference = Math.abs((all[row * size] as number) - (own[row * size] as number));
  expect(difference).toBeGreaterThan(1e-3);
});

it('check 4: loads as many keys as attention of the gathered tokens would', async () => {
  const counted = await countKeyRows(gpu, (keyRowCounter) => {
    const on = [q, k, v].map(({ data, shape }) => gpu.tensor(data, shape)) as [Tensor, Tensor, Tensor];
    sparsePrefillAttention(...on, flagsOn(gpu), { keyRowCounter });
  });
  const declared = gpu.tidy(() => {
    const like = ({ shape }: { shape: number[] }) => gpu.zeros([1, shape[1] as number, n, size]);
    const lengths = { causal: true, queryOffset: 0, keyLength: kept.length, queryLength: kept.length };
    return attentionKeyRows(like(q), like(k), like(v), lengths);
  });
  expect(counted).toBe(declared);
});

const options = zipvl().options as Parameters<typeof compressRows>[4];
const pageSize = 64;

/** What a cache of one head gives back of keys and values after compression. */
async function stored(keys: ArrayLike<number>, values: ArrayLike<number>, flags: number[], changes = {}) {
  const rows = flags.length;
  const headSize = keys.length / rows;
  const cache = KvCache.create(gpu, { layers: [{ kind: 'paged' }], kvHeads: 1, headSize, capacity: rows });
  const shape = [1, 1, rows, headSize];
  gpu.tidy(() => cache.layer(0).append(gpu.tensor(keys, shape), gpu.tensor(values, shape)));
  cache.advance();
  const told = compressRows(gpu, cache.layer(0), { important: 0, other: 0 }, flags, { ...options, ...changes }, 1);
  const { bytes } = cache.layer(0);
  const padded = cache.layer(0).padded();
  const [k2, v2, positions] = await gpu.read([padded.keys, padded.values, padded.positions]);
  for (const each of [padded.keys, padded.values, padded.positions, padded.lengths, cache]) each.dispose();
  // In the order of the text again.
  const order = Array.from(positions as Uint32Array);
  const byPosition = (data: ArrayLike<number>) => {
    const result = new Float32Array(rows * headSize);
    for (const [row, position] of order.entries())
      for (let d = 0; d < headSize; d++) result[position * headSize + d] = data[row * headSize + d] as number;
    return result;
  };
  return { keys: byPosition(k2 as Float32Array), values: byPosition(v2 as Float32Array), told, bytes, order };
}

const meanError = (a: ArrayLike<number>, b: ArrayLike<number>, counts: (at: number) => boolean) => {
  let [sum, size_] = [0, 0];
  for (let at = 0; at < a.length; at++) {
    if (!counts(at)) continue;
    sum += Math.abs((a[at] as number) - (b[at] as number));
    size_++;
  }
  return sum / size_;
};

describe('the cache', () => {
  const rows = 128;
  const data = randomArray(rows * 16, 8);
  const half = Array.from({ length: rows }, (_, row) => row % 2);
  const isImportant = (at: number) => half[Math.floor(at / 16)] === 1;

  it('check 6: is off by half a step at most, five times less at 4 bits than at 2', async () => {
    const { keys, values, told, order } = await stored(data, data, half);
    expect(told).toEqual({ important: 64, other: 64 });
    expect(order).toEqual(
      [...half.keys()].filter((row) => half[row]).concat([...half.keys()].filter((row) => !half[row])),
    );
    for (const flag of [1, 0]) {
      const own = half.flatMap((each, row) => (each === flag ? [row] : []));
      for (let d = 0; d < 16; d++) {
        const channel = own.map((row) => data[row * 16 + d] as number);
        const step = (Math.max(...channel) - Math.min(...channel)) / (flag ? 15 : 3);
        for (const row of own) {
          const error = Math.abs((keys[row * 16 + d] as number) - (data[row * 16 + d] as number));
          // Minimum and step are halves.
          expect(error).toBeLessThanOrEqual((step / 2) * 1.01 + 1e-3);
        }
      }
    }
    for (const side of [keys, values]) {
      const ratio = meanError(side, data, (at) => !isImportant(at)) / meanError(side, data, isImportant);
      expect(ratio).toBeGreaterThan(4);
      expect(ratio).toBeLessThan(6);
    }
  });

  it('check 6: holds constants exactly, and packs what it has unpacked into the same numbers', async () => {
    const constant = new Float32Array(rows * 16).fill(0.75);
    const { keys } = await stored(constant, constant, half);
    expect(keys).toEqual(constant);
    const once = await stored(data, data, half);
    const twice = await stored(once.keys, once.values, half);
    assertClose(twice.keys, once.keys, { absolute: 1e-6 });
  });

  it('check 7: a large channel of values costs the others far less than where tokens share a step as they are', async () => {
    const large = data.map((value, at) => (at % 16 === 3 ? 100 * value : value));
    const others = (at: number) => at % 16 !== 3;
    const [plain, scaled] = [await stored(data, data, half), await stored(data, large, half)];
    const rise = meanError(scaled.values, large, others) / meanError(plain.values, data, others);
    const byToken = (values: Float32Array) => {
      const result = new Float32Array(values.length);
      for (const flag of [0, 1]) {
        const own = half.flatMap((each, row) => (each === flag ? [row] : []));
        const numbers = own.flatMap((row) => Array.from(values.subarray(row * 16, (row + 1) * 16)));
        const told = quantizeReference(numbers, 16, { bits: flag ? 4 : 2, per: 'token' }).values;
        for (const [index, row] of own.entries()) result.set(told.subarray(index * 16, (index + 1) * 16), row * 16);
      }
      return meanError(result, values, others);
    };
    const plainRise = byToken(large) / byToken(data);
    expect(rise).toBeLessThan(plainRise / 2);
    // The square root of what the channel grew by bounds the rise of the others' step.
    expect(rise).toBeLessThan(10);
  });

  it('with eviction holds the important tokens alone', async () => {
    const { told, order } = await stored(data, data, half, { unimportant: 'evict', bitsImportant: 16 });
    expect(told).toEqual({ important: 64, other: 0 });
    expect(order).toEqual([...half.keys()].filter((row) => half[row]));
  });

  it('check 8: takes the bytes of the formula, and those of steps, positions and page tables', async () => {
    const [tokens, headSize] = [1024, 16];
    const flags = Array.from({ length: tokens }, (_, row) => Number(row % 4 === 0));
    const { bytes, told } = await stored(randomArray(tokens * headSize, 1), randomArray(tokens * headSize, 2), flags);
    expect(told).toEqual({ important: 256, other: 768 });
    const numbers = (2 * headSize * (told.important * 4 + told.other * 2)) / 8;
    const pages = tokens / pageSize;
    const ranges = pages * (4 * headSize + 4 * pageSize + 2 * headSize);
    const positions = 4 * tokens;
    expect(bytes).toBeGreaterThanOrEqual(numbers + ranges + positions);
    expect(bytes).toBeLessThan((numbers + ranges) * 1.1 + positions + 1024);
  });
});

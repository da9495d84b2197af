import type { Gpu, Tensor } from '@saccade/core';
import { assertClose, randomArray, sharedGpu } from '@saccade/core/testing';
import { expect, it } from 'vitest';
import { redistribute, sinkScores, tokenSets } from '../src/index.ts';
import { redistributeReference, sinkScoreReference } from '../src/reference.ts';

const published = { keep: 0.6, minNonSinkRatio: 0.5, minVisualMass: 0.2 };

/**
 * Rows of probabilities after redistribution: queries whose scores are their logarithms, and values of which key j holds 1 at j, so that
 * the output is the row.
 */
async function redistributed(
  gpu: Gpu,
  rows: readonly (readonly number[])[],
  image: readonly boolean[],
  sink: readonly boolean[],
  numbers = published,
): Promise<number[][]> {
  const keys = rows[0]?.length ?? 0;
  const size = Math.ceil(keys / 4) * 4;
  const unit = (at: number) => Array.from({ length: size }, (_, index) => (index === at ? 1 : 0));
  const padded = rows.map((row) => Array.from({ length: size }, (_, key) => Math.log(row[key] ?? 1)));
  const output = gpu.tidy(() => {
    const q = gpu.tensor(padded.flat(), [1, rows.length, 1, size]);
    const k = gpu.tensor(
      image.flatMap((_, key) => unit(key)),
      [1, 1, keys, size],
    );
    const scores = gpu.tensor(
      sink.map((is) => (is ? 30 : 0)),
      [keys],
    );
    const flags = gpu.tensor(image.map(Number), [keys], 'u32');
    return redistribute(q, k, k, { scale: 1, keySets: tokenSets(scores, flags, 20, keys) }, numbers).output;
  });
  const values = await output.read();
  output.dispose();
  return rows.map((_, row) => Array.from(values.subarray(row * size, row * size + keys)));
}

it('check 3: the hand case; a ratio of 0.8 leaves it alone', async () => {
  const gpu = await sharedGpu();
  const row = [0.3, 0.2, 0.2, 0.1, 0.2];
  const [image, sink] = [
    [false, true, true, true, false],
    [true, true, false, false, false],
  ] as const;
  const [changed = []] = await redistributed(gpu, [row], image, sink);
  assertClose(changed, [0.18, 0.12, 1 / 3, 1 / 6, 0.2], { absolute: 1e-6 });
  const [same = []] = await redistributed(gpu, [row], image, sink, { ...published, minNonSinkRatio: 0.8 });
  assertClose(same, row, { absolute: 1e-6 });
});

it('check 6: the head that looks at the image changes, the one that looks at a sink does not', async () => {
  const gpu = await sharedGpu();
  const rows = [
    [0.03, 0.27, 0.7],
    [0.81, 0.09, 0.1],
  ];
  const [a = [], b = []] = await redistributed(gpu, rows, [true, true, false], [true, false, false]);
  assertClose(a, [0.018, 0.282, 0.7], { absolute: 1e-6 });
  assertClose(b, rows[1] as number[], { absolute: 1e-6 });
});

it('check 2: rows keep their sum, other tokens theirs, image tokens their proportions; as the reference says', async () => {
  const gpu = await sharedGpu();
  const keys = 21;
  const image = Array.from({ length: keys }, (_, key) => key >= 3 && key < 15);
  const sink = Array.from({ length: keys }, (_, key) => key === 0 || key === 5 || key === 11 || key === 17);
  const rows = Array.from({ length: 32 }, (_, row) => {
    const scores = Array.from(randomArray(keys, row + 1), (x) => Math.exp(2 * x));
    const total = scores.reduce((sum, x) => sum + x, 0);
    return scores.map((x) => x / total);
  });
  const changed = await redistributed(gpu, rows, image, sink);
  // What sinks keep is nothing to other tokens, to the bit.
  const emptied = await redistributed(gpu, rows, image, sink, { ...published, keep: 0 });
  const others = image.flatMap((isImage, key) => (isImage || sink[key] ? [] : [key]));
  let selected = 0;
  for (const [index, row] of rows.entries()) {
    const now = changed[index] as number[];
    assertClose(now, redistributeReference(row, image, sink, published), { absolute: 1e-6 });
    expect(others.map((key) => emptied[index]?.[key])).toEqual(others.map((key) => now[key]));
    expect(now.reduce((sum, x) => sum + x, 0)).toBeCloseTo(1, 5);
    if (Math.abs((now[0] as number) - (row[0] as number)) < 1e-6) continue;
    selected++;
    for (const key of others) expect(now[key]).toBeCloseTo(row[key] as number, 6);
    for (const key of [4, 6, 14]) {
      expect((now[key] as number) / (now[3] as number)).toBeCloseTo((row[key] as number) / (row[3] as number), 4);
    }
  }
  expect(selected).toBeGreaterThan(4);
  expect(selected).toBeLessThan(32);
});

it('check 1: sinks that keep everything, and no sinks, give plain attention', async () => {
  const gpu = await sharedGpu();
  const row = [0.3, 0.2, 0.2, 0.1, 0.2];
  const image = [false, true, true, true, false];
  const [kept = []] = await redistributed(gpu, [row], image, [true, true, false, false, false], {
    ...published,
    keep: 1,
  });
  assertClose(kept, row, { absolute: 1e-6 });
  const noSinks = new Array<boolean>(5).fill(false);
  const [none = []] = await redistributed(gpu, [row], image, noSinks);
  assertClose(none, row, { absolute: 1e-6 });
  // Then nothing depends on the options, to the bit.
  expect(await redistributed(gpu, [row], image, noSinks, { keep: 0, minNonSinkRatio: 0, minVisualMass: 0 })).toEqual([
    none,
  ]);
});

it('check 4: scores of tokens are the reference’s', async () => {
  const gpu = await sharedGpu();
  const [rows, size] = [5, 96];
  const values = randomArray(rows * size, 3);
  values[2 * size + 17] = 40;
  const scores = gpu.tidy(() => sinkScores(gpu.tensor(values, [rows, size]), [17, 60]));
  const expected = Array.from({ length: rows }, (_, row) =>
    sinkScoreReference(Array.from(values.subarray(row * size, (row + 1) * size)), [17, 60]),
  );
  assertClose(await scores.read(), expected, { relative: 1e-5 });
  expect(expected[2]).toBeGreaterThan(0.9 * Math.sqrt(size));
  scores.dispose();
});

it('check 5: a step over a cache equals the last row of all rows, once sets are fixed; rows of the cache behind the prompt are no sinks', async () => {
  const gpu = await sharedGpu();
  const [heads, kvHeads, keys, size, prompt, capacity] = [4, 2, 19, 16, 16, 40];
  const random = (shape: number[], seed: number): Tensor =>
    gpu.tensor(
      randomArray(
        shape.reduce((a, b) => a * b),
        seed,
      ),
      shape,
    );
  const read = async (make: () => Tensor) => {
    const tensor = gpu.tidy(make);
    const numbers = await tensor.read();
    tensor.dispose();
    return numbers;
  };
  const q = random([1, heads, keys, size], 1);
  const [k, v] = [random([1, kvHeads, capacity, size], 2), random([1, kvHeads, capacity, size], 3)];
  const scores = gpu.tensor(
    Array.from({ length: prompt }, (_, token) => (token % 5 === 0 ? 30 : 0)),
    [prompt],
  );
  const image = gpu.tensor(
    Array.from({ length: prompt }, (_, token) => Number(token > 2 && token < 12)),
    [prompt],
    'u32',
  );
  const sets = tokenSets(scores, image, 20, capacity);
  const ids = await sets.ids.read();
  expect(Array.from(ids.subarray(prompt))).toEqual(new Array(capacity - prompt).fill(3));
  const loose = { ...published, minVisualMass: 0, minNonSinkRatio: 0 };
  const all = await read(() => {
    const options = { causal: true, keyLength: keys, queryOffset: 0, keySets: sets };
    return redistribute(q, k, v, options, loose).output.slice(2, keys - 1, keys);
  });
  const step = await read(() => {
    const options = { causal: true, keyLength: keys, queryOffset: keys - 1, keySets: sets };
    return redistribute(q.slice(2, keys - 1, keys), k, v, options, loose).output;
  });
  assertClose(step, all, { absolute: 1e-6 });
  // Were tokens behind the prompt taken for sinks, as anew found ones would be, the step would give something else.
  const found = tokenSets(
    gpu.tensor(
      new Array(keys).fill(0).map((_, token) => (token % 5 === 0 || token >= prompt ? 30 : 0)),
      [keys],
    ),
    image,
    20,
    capacity,
  );
  const unfrozen = await read(() => {
    const options = { causal: true, keyLength: keys, queryOffset: keys - 1, keySets: found };
    return redistribute(q.slice(2, keys - 1, keys), k, v, options, loose).output;
  });
  expect(Math.max(...unfrozen.map((x, at) => Math.abs(x - (step[at] as number))))).toBeGreaterThan(1e-3);
  for (const tensor of [found.ids, found.sortedIds, found.order]) tensor.dispose();
  for (const tensor of [q, k, v, scores, image, sets.ids, sets.sortedIds, sets.order]) tensor.dispose();
});

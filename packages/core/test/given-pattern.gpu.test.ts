import { describe, expect, it } from 'vitest';
import { placeGivenRows } from '../src/attention/statistics/place-given-rows.ts';
import { modestGpu, randomArray, sharedGpu } from '../src/testing/index.ts';

const [batches, heads, queries, columns, keys] = [2, 3, 7, 12, 9] as const;
/** Queries whose rows are shown. */
const named = [6, 0, 2] as const;

describe.each([
  ['full', sharedGpu],
  ['modest', modestGpu],
])('placeGivenRows on the %s device', (_, open) => {
  it.each([5, 3])('puts %i rows in place of those of their queries, and leaves the others', async (count) => {
    const gpu = await open();
    const rows = randomArray(batches * heads * named.length * keys, 1);
    // Of queries that are shown, one that is not, and, where fewer count, some that do not.
    const places = [
      [0, 2, 6],
      [1, 0, 2],
      [0, 1, 5],
      [1, 2, 0],
      [0, 0, 0],
    ];
    const given = randomArray(places.length * columns, 2);
    const result = gpu.tensor(rows, [batches, heads, named.length, keys]);
    gpu.tidy(() => {
      placeGivenRows(result, named, queries, {
        rows: gpu.tensor(places.flat(), [places.length, 3], 'u32'),
        probabilities: gpu.tensor(given, [places.length, columns]),
        ...(count < places.length ? { count: gpu.tensor([count], [1], 'u32') } : {}),
      });
    });
    const expected = Float32Array.from(rows);
    for (const [index, [batch = 0, head = 0, query = 0]] of places.slice(0, count).entries()) {
      const slot = named.indexOf(query as 0);
      if (slot < 0) continue;
      const at = ((batch * heads + head) * named.length + slot) * keys;
      expected.set(given.subarray(index * columns, index * columns + keys), at);
    }
    expect(await result.read()).toEqual(expected);
    result.dispose();
  });
});

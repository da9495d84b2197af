import { type AttentionCall, type Method, MethodRun, OptionError, parseOptions, RefusedError } from '@saccade/core';
import { assertClose, attentionReference, poisonRows, sharedGpu } from '@saccade/core/testing';
import type { LanguageModel } from '@saccade/models';
import { randomLlama } from '@saccade/models/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type HylraSettings, hylra, hylraOptions, storePolicy } from '../src/index.ts';
import { hylraReference } from '../src/reference.ts';
import { allPolicies } from './brute-force.ts';
import { type WatchedCall, watching } from './watch.ts';

const layers = 6;
const policy = [-1, -1, 1, 1, -1, 4];
const prompt = Array.from({ length: 61 }, (_, index) => (index * index * 37 + 11) % 251);
const continuation = [5, 77, 130];
let model: LanguageModel;

beforeAll(async () => {
  model = await randomLlama(await sharedGpu(), { layers });
});

afterAll(() => model.dispose());

/** Logits after the prompt and after each further token. */
async function logitsUnder(method: Method | readonly Method[] | undefined): Promise<Float32Array[]> {
  const { gpu } = model;
  const run = await MethodRun.start(model, method);
  const cache = model.createCache(prompt.length + continuation.length, run);
  const rows: Float32Array[] = [];
  try {
    for (const ids of [prompt, ...continuation.map((id) => [id])]) {
      run.phase = ids === prompt ? 'prefill' : 'decode';
      const { hidden, logits } = model.forward(ids, { cache, run });
      rows.push((await logits?.read()) as Float32Array);
      hidden.dispose();
      logits?.dispose();
    }
    await gpu.read([]);
    return rows;
  } finally {
    cache.dispose();
    run.dispose();
  }
}

describe('hylra', () => {
  it('check 3: full layers everywhere give the dense logits to the last bit', async () => {
    const full = hylra({ topK: 4, policy: new Array(layers).fill(-1) });
    expect(await logitsUnder(full)).toEqual(await logitsUnder(undefined));
  });

  it('check 3: k of the whole context gives the dense logits, whatever the policy', async () => {
    const dense = await logitsUnder(undefined);
    for (const some of allPolicies(layers).filter((_, index) => index % 7 === 0)) {
      for (const topK of [prompt.length + continuation.length, 64 * 64]) {
        const rows = await logitsUnder(hylra({ topK, policy: some }));
        rows.forEach((row, step) => {
          assertClose(row, dense[step] as Float32Array, { absolute: 1e-5, name: `${some}, step ${step}` });
        });
      }
    }
  });

  for (const [name, settings] of [
    ['as published', {}],
    ['sets per key/value head', { selectionPer: 'kvHead' }],
    ['sets per query head, by probability', { selectionPer: 'queryHead', ranking: 'probability' }],
    ['sinks and recent tokens', { sinkTokens: 3, recentTokens: 6 }],
    ['short query blocks', { queryBlock: 5 }],
  ] as const satisfies readonly (readonly [string, HylraSettings])[]) {
    it(`reads the tokens that the source layer ranks highest, and no others: ${name}`, async () => {
      const topK = 12;
      const watch = watching();
      await logitsUnder([hylra({ topK, policy, ...settings }), watch.method]);
      const { heads } = model.facts;
      for (const [index, call] of watch.calls.entries()) {
        const source = policy[call.layer] as number;
        if (source < 0) {
          expect(call.indices).toBeUndefined();
          continue;
        }
        const from = watch.calls[index - (call.layer - source)] as WatchedCall;
        const sets = await expectedSets(from, { topK, ...settings });
        const indices = (await call.indices?.read()) as Uint32Array;
        expect(indices.length).toBe(sets.flat(2).length);
        sets.forEach((perBlock, head) => {
          perBlock.forEach((set, block) => {
            const at = (head * perBlock.length + block) * topK;
            expect([...indices.subarray(at, at + topK)].sort((a, b) => a - b)).toEqual(set);
          });
        });
        await checkOutput(call, (head) => sets[Math.floor((head * sets.length) / heads)] as number[][], settings);
      }
      watch.dispose();
    });
  }

  it('check 7: a full layer loads every key, a reusing layer k per key/value head; other rows may hold NaN', async () => {
    const topK = 9;
    const method = hylra({ topK, policy });
    const watch = watching();
    const expected = await logitsUnder([method, watch.method]);
    const { kvHeads } = model.facts;
    const decoding = watch.calls.slice(layers);
    const counts = await Promise.all(decoding.map(async (call) => [...(await call.loaded.read())][0] as number));
    decoding.forEach((call, index) => {
      expect(counts[index]).toBe(kvHeads * ((policy[call.layer] as number) < 0 ? call.keyLength : topK));
    });
    // Prefill: blocks of 9 queries share 9 of 61 keys; workgroups of the full layer load all keys before their last query.
    const [full, reusing] = await Promise.all(
      [watch.calls[1], watch.calls[2]].map(async (call) => [...((await call?.loaded.read()) ?? [])][0] as number),
    );
    expect(reusing).toBeLessThan((full as number) / 2);
    // The same passes with every row outside the lists poisoned.
    const lists = await Promise.all(watch.calls.map(async ({ indices }) => indices && [...(await indices.read())]));
    const rows = await Promise.all(
      watch.calls.map(async ({ keys, values, indices }, index) => {
        if (!indices) return undefined;
        const kept = (_: number, position: number) => lists[index]?.includes(position) ?? false;
        const { shape } = keys;
        const [k, v] = (await model.gpu.read([keys, values])) as [Float32Array, Float32Array];
        return { shape, keys: poisonRows(k, shape, kept), values: poisonRows(v, shape, kept) };
      }),
    );
    watch.dispose();
    let index = -1;
    const poisoned = watching((_, call): AttentionCall => {
      const found = rows[++index];
      if (!found) return call;
      const { gpu } = call.q;
      return { ...call, keys: gpu.tensor(found.keys, found.shape), values: gpu.tensor(found.values, found.shape) };
    });
    expect(await logitsUnder([method, poisoned.method])).toEqual(expected);
    poisoned.dispose();
  });

  it('stays dense in a phase that it is not to change', async () => {
    const watch = watching();
    await logitsUnder([hylra({ topK: 9, policy, phases: ['decode'] }), watch.method]);
    expect(watch.calls.slice(0, layers).every(({ indices }) => indices === undefined)).toBe(true);
    expect(watch.calls.slice(layers).filter(({ indices }) => indices !== undefined)).toHaveLength(3 * 3);
    watch.dispose();
  });

  it('acts on global layers only', async () => {
    const mixed = await randomLlama(await sharedGpu(), {
      layers: 4,
      layerKinds: ['window', 'global', 'window', 'global'],
      slidingWindow: 16,
    });
    const watch = watching();
    const ids: number[] = [];
    const run = { method: [hylra({ topK: 9, policy: [-1, 0] }), watch.method], maxTokens: 3, ignoreEndOfText: true };
    for await (const piece of mixed.generate(prompt, run)) ids.push(...piece.ids);
    expect(ids).toHaveLength(3);
    expect(watch.calls.filter(({ indices }) => indices).map(({ layer }) => layer)).toEqual([3, 3, 3]);
    watch.dispose();
    mixed.dispose();
  });

  it('refuses options, policies and models that do not fit, before anything runs', async () => {
    expect(() => hylra({ topK: 0 })).toThrow(OptionError);
    await expect(MethodRun.start(model, hylra())).rejects.toThrow(RefusedError);
    await expect(MethodRun.start(model, hylra())).rejects.toThrow(/random-llama.*profileLayers/);
    await expect(MethodRun.start(model, hylra({ policy: [-1, 0] }))).rejects.toThrow(/2 entries.*6 global layers/);
    await expect(MethodRun.start(model, hylra({ policy: [-1, 0, 1, -1, 3, 3] }))).rejects.toThrow(/policy\[2\]/);
    const second = { name: 'second', options: {}, phases: ['decode'], listsKeys: true } as const;
    await expect(MethodRun.start(model, [hylra({ policy }), second])).rejects.toThrow(
      /hylra and second cannot run.*decode/,
    );
    (await MethodRun.start(model, [hylra({ policy, phases: ['prefill'] }), second])).dispose();
    const other = storePolicy({ ...model.facts, name: 'other', heads: 8 }, policy);
    await expect(MethodRun.start(model, hylra({ policy: other }))).rejects.toThrow(/made for other.*heads is 8, not 4/);
    const own = storePolicy(model.facts, policy);
    (await MethodRun.start(model, hylra({ policy: own }))).dispose();
  });

  it('frees everything', async () => {
    const before = model.gpu.stats().liveBytes;
    await logitsUnder(hylra({ topK: 9, policy }));
    expect(model.gpu.stats().liveBytes).toBe(before);
  });
});

/** The sets that the reference picks from the recorded queries and keys of the source layer. */
async function expectedSets(call: WatchedCall, settings: HylraSettings): Promise<number[][][]> {
  const { heads, kvHeads, headSize } = model.facts;
  const [q, keys] = (await model.gpu.read([call.q, call.keys])) as [Float32Array, Float32Array];
  const queries = call.q.shape[2] as number;
  const capacity = call.keys.shape[2] as number;
  const score = (head: number, query: number, key: number) => {
    let sum = 0;
    const row = Math.floor((head * kvHeads) / heads) * capacity + key;
    for (let d = 0; d < headSize; d++)
      sum += (q[(head * queries + query) * headSize + d] as number) * (keys[row * headSize + d] as number);
    return sum / Math.sqrt(headSize);
  };
  const { policy: _, ...rest } = settings;
  return hylraReference({ heads, kvHeads, queries, keys: call.keyLength, score }, parseOptions(hylraOptions, rest));
}

/** Compares a call's output with attention in f64 over each head's sets, causal. */
async function checkOutput(
  call: WatchedCall,
  setsOf: (head: number) => number[][],
  { queryBlock = 64 }: HylraSettings,
): Promise<void> {
  const { heads, kvHeads, headSize } = model.facts;
  const [q, keys, values, output] = (await model.gpu.read([
    call.q,
    call.keys,
    call.values,
    call.output,
  ])) as Float32Array[];
  const queries = call.q.shape[2] as number;
  const capacity = call.keys.shape[2] as number;
  const block = Math.min(queryBlock, (setsOf(0)[0] as number[]).length, queries);
  for (let head = 0; head < heads; head++) {
    for (let query = 0; query < queries; query++) {
      const position = call.keyLength - queries + query;
      const set = (setsOf(head)[Math.floor(query / block)] as number[]).filter((key) => key <= position);
      expect(set).toContain(position);
      const rowsOf = (data: Float32Array) =>
        Float32Array.from(
          set.flatMap((key) => {
            const at = (Math.floor((head * kvHeads) / heads) * capacity + key) * headSize;
            return [...data.subarray(at, at + headSize)];
          }),
        );
      const expected = attentionReference({
        batches: 1,
        heads: 1,
        kvHeads: 1,
        queries: 1,
        keys: set.length,
        headSize,
        q: (q as Float32Array).subarray((head * queries + query) * headSize, (head * queries + query + 1) * headSize),
        k: rowsOf(keys as Float32Array),
        v: rowsOf(values as Float32Array),
      });
      const at = (head * queries + query) * headSize;
      assertClose((output as Float32Array).subarray(at, at + headSize), expected.output, {
        absolute: 1e-5,
        name: `layer ${call.layer}, head ${head}, query ${query}`,
      });
    }
  }
}

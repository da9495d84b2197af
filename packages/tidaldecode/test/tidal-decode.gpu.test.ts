import { attention, type Method, MethodRun, type PromptCache, scorer, square, sum } from '@saccade/core';
import { assertClose, sharedGpu } from '@saccade/core/testing';
import type { LanguageModel } from '@saccade/models';
import { randomLlama } from '@saccade/models/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TidalDecodeOptions, tidalDecode } from '../src/index.ts';
import { attentionScores, selectTopTokens } from '../src/reference.ts';
import { recording } from './recording.ts';

const layers = 7;
const promptIds = Array.from({ length: 61 }, (_, index) => (index * index * 37 + 11) % 251);

let model: LanguageModel;
let prompt: PromptCache;

beforeAll(async () => {
  model = await randomLlama(await sharedGpu(), { layers });
  prompt = await model.prefill(promptIds);
});

afterAll(() => {
  prompt.dispose();
  model.dispose();
});

/** Logits after each of the given tokens, decoded one by one from the prompt. */
async function decodeLogits(
  method: Method | undefined,
  ids: readonly number[],
  from = prompt,
  on = model,
): Promise<Float32Array[]> {
  const fork = from.fork();
  const run = await MethodRun.start(on, method);
  run.phase = 'decode';
  const steps: Float32Array[] = [];
  const seen = [...from.ids];
  try {
    for (const [index, id] of ids.entries()) {
      if (index > 0)
        await run.step({ phase: 'decode', gpu: on.gpu, model: on, cache: fork.kv, ids: seen, decoded: index });
      const { hidden, logits } = on.forward([id], { cache: fork.kv, run });
      seen.push(id);
      steps.push((await logits?.read()) as Float32Array);
      hidden.dispose();
      logits?.dispose();
    }
    return steps;
  } finally {
    run.dispose();
    fork.dispose();
  }
}

const ids = [5, 77, 130, 9];

describe('tidalDecode', () => {
  for (const options of [
    { sparseLayerStart: 0, reselectionLayers: [] },
    { sparseLayerStart: 2, reselectionLayers: [4] },
    { sparseLayerStart: 1, reselectionLayers: [3, 5], selectionPer: 'kvHead' },
  ] satisfies TidalDecodeOptions[]) {
    it(`check 1: a budget of the whole context gives the dense logits ${JSON.stringify(options)}`, async () => {
      const dense = await decodeLogits(undefined, ids);
      const full = await decodeLogits(tidalDecode({ ...options, topK: 4096 }), ids);
      for (const [step, row] of full.entries()) {
        assertClose(row, dense[step] as Float32Array, { absolute: 1e-4, name: `step ${step}` });
      }
    });
  }

  for (const start of [layers, layers - 1]) {
    it(`check 2: no layer reads a selection when s = ${start} of ${layers}: dense for k = 1`, async () => {
      const dense = await decodeLogits(undefined, ids);
      const sparse = await decodeLogits(tidalDecode({ topK: 1, sparseLayerStart: start, reselectionLayers: [] }), ids);
      expect(sparse).toEqual(dense);
    });
  }

  it('check 3: selection layers are dense: with k = 1 the stream first differs behind layer s + 1', async () => {
    const s = 2;
    const dense = recording({ name: 'dense', options: {}, phases: ['decode'] });
    const sparse = recording(tidalDecode({ topK: 1, sparseLayerStart: s, reselectionLayers: [] }));
    await decodeLogits(dense.method, [5]);
    await decodeLogits(sparse.method, [5]);
    for (let layer = 0; layer < layers; layer++) {
      const [a, b] = await model.gpu.read(
        [dense.calls[layer]?.q, sparse.calls[layer]?.q].map((q) => q as NonNullable<typeof q>),
      );
      // The query of layer l is a function of the stream behind layer l - 1.
      if (layer <= s + 1)
        assertClose(b as Float32Array, a as Float32Array, { absolute: 1e-6, name: `query of layer ${layer}` });
      else expect(b).not.toEqual(a);
    }
    dense.dispose();
    sparse.dispose();
  });

  it('check 4: layers behind a selection share its list; s + 2 layers score the whole cache', async () => {
    const recorded = recording(tidalDecode({ topK: 8, sparseLayerStart: 1, reselectionLayers: [4] }));
    await decodeLogits(recorded.method, [5]);
    const lists = await Promise.all(recorded.calls.map((call) => call.tokens?.read()));
    expect(lists.map((list) => list !== undefined)).toEqual([false, false, true, true, false, true, true]);
    expect(lists.filter((list) => list === undefined)).toHaveLength(3);
    expect(lists[3]).toEqual(lists[2]);
    expect(lists[6]).toEqual(lists[5]);
    expect(lists[5]).not.toEqual(lists[2]);
    recorded.dispose();
  });

  it('checks 5 and 9: the list of each head is the reference’s, per query head, never beyond the valid positions', async () => {
    for (const forceCurrent of [false, true]) {
      const recorded = recording(tidalDecode({ topK: 9, sparseLayerStart: 1, reselectionLayers: [], forceCurrent }));
      await decodeLogits(recorded.method, [5]);
      const selecting = recorded.calls[1] as (typeof recorded.calls)[number];
      const [q, keys, list] = await model.gpu.read([
        selecting.q,
        selecting.keys,
        recorded.calls[2]?.tokens as typeof selecting.q,
      ]);
      const { heads, kvHeads, headSize } = model.facts;
      const capacity = selecting.keys.shape[2] as number;
      const length = promptIds.length + 1;
      const sets = new Set<string>();
      for (let head = 0; head < heads; head++) {
        const kvHead = Math.floor((head * kvHeads) / heads);
        const rows = Array.from({ length }, (_, position) => [
          ...(keys as Float32Array).subarray(
            (kvHead * capacity + position) * headSize,
            (kvHead * capacity + position + 1) * headSize,
          ),
        ]);
        const scores = attentionScores([...(q as Float32Array).subarray(head * headSize, (head + 1) * headSize)], rows);
        const own = [...(list as Uint32Array).subarray(head * 9, (head + 1) * 9)].sort((a, b) => a - b);
        expect(own).toEqual(selectTopTokens(scores, 9, forceCurrent));
        expect(own.every((position) => position < length)).toBe(true);
        sets.add(own.join());
      }
      expect(sets.size).toBeGreaterThan(1);
      recorded.dispose();
    }
  });

  it('reads nothing outside the selection: other rows of the sparse layers hold NaN and the logits do not change', async () => {
    const tidal = tidalDecode({ topK: 8, sparseLayerStart: 1, reselectionLayers: [] });
    const recorded = recording(tidal);
    const [expected] = await decodeLogits(recorded.method, [5]);
    const { heads, kvHeads } = model.facts;
    const poisoned = new Map<number, { keys: Float32Array; values: Float32Array; shape: readonly number[] }>();
    for (const call of recorded.calls) {
      if (!call.tokens) continue;
      const [keys, values, list] = await model.gpu.read([call.keys, call.values, call.tokens]);
      const [, , capacity, size] = call.keys.shape as [number, number, number, number];
      const kept = new Set(
        [...(list as Uint32Array)].map(
          (position, index) => `${Math.floor((Math.floor(index / 8) * kvHeads) / heads)}:${position}`,
        ),
      );
      const poison = (rows: Float32Array) =>
        rows.map((value, index) => {
          const position = Math.floor(index / size) % capacity;
          return kept.has(`${Math.floor(index / size / capacity)}:${position}`) ? value : Number.NaN;
        });
      poisoned.set(call.layer, {
        keys: poison(keys as Float32Array),
        values: poison(values as Float32Array),
        shape: call.keys.shape,
      });
    }
    recorded.dispose();
    expect(poisoned.size).toBe(layers - 2);
    const onPoison: Method = {
      ...tidal,
      attend(context, call, next) {
        const rows = poisoned.get(context.layer);
        if (!rows) return tidal.attend?.(context, call, next) as ReturnType<typeof next>;
        const gpu = context.gpu;
        const keys = gpu.tensor(rows.keys, rows.shape);
        const values = gpu.tensor(rows.values, rows.shape);
        return attention(call.q, keys, values, { ...call.options, tokens: context.indices.get(context.layer) });
      },
    };
    expect(await decodeLogits(onPoison, [5])).toEqual([expected]);
  });

  it('check 8: after a correction the cache equals the dense cache of the same ids; without, it differs from layer s + 1 on', async () => {
    const sparse = { topK: 4, sparseLayerStart: 1, reselectionLayers: [] };
    const caches: Float32Array[][] = [];
    for (const method of [undefined, tidalDecode(sparse), tidalDecode({ ...sparse, correctionInterval: 3 })]) {
      const fork = prompt.fork();
      const run = await MethodRun.start(model, method);
      const seen = [...prompt.ids];
      for (const [index, id] of [5, 77, 130].entries()) {
        run.phase = 'decode';
        const { hidden, logits } = model.forward([id], { cache: fork.kv, run });
        hidden.dispose();
        logits?.dispose();
        seen.push(id);
        await run.step({ phase: 'decode', gpu: model.gpu, model, cache: fork.kv, ids: seen, decoded: index + 1 });
      }
      const rows = Array.from({ length: layers }, (_, layer) =>
        [fork.kv.layer(layer).keys, fork.kv.layer(layer).values].map((tensor) => tensor.slice(2, 0, seen.length)),
      ).flat();
      caches.push((await model.gpu.read(rows)) as Float32Array[]);
      for (const view of rows) view.dispose();
      run.dispose();
      fork.dispose();
    }
    const [dense, polluted, corrected] = caches as [Float32Array[], Float32Array[], Float32Array[]];
    for (const [index, rows] of corrected.entries()) {
      assertClose(rows, dense[index] as Float32Array, { absolute: 1e-4, name: `tensor ${index}` });
    }
    // Keys of layer 2 still come from dense layers 0 and 1 and the sparse output of layer 2 shows first in layer 3.
    for (let layer = 0; layer < layers; layer++) {
      const difference = Math.max(
        ...(polluted[2 * layer] as Float32Array).map((value, at) =>
          Math.abs(value - (dense[2 * layer]?.[at] as number)),
        ),
      );
      if (layer <= 2) expect(difference).toBeLessThan(1e-5);
      else expect(difference).toBeGreaterThan(1e-4);
    }
  });

  it('refuses layers that the model lacks when the run starts', async () => {
    await expect(
      MethodRun.start(model, tidalDecode({ sparseLayerStart: 2, reselectionLayers: [layers] })),
    ).rejects.toThrow(/reselectionLayers/);
  });

  it('generates through the model’s own generate, and frees everything', async () => {
    const before = model.gpu.stats().liveBytes;
    const taken: number[] = [];
    for await (const piece of model.generate(promptIds, {
      method: tidalDecode({ topK: 8, correctionInterval: 3 }),
      maxTokens: 8,
      ignoreEndOfText: true,
    })) {
      taken.push(...piece.ids);
    }
    expect(taken).toHaveLength(8);
    expect(model.gpu.stats().liveBytes).toBe(before);
  });
});

describe('a cache that lost tokens', () => {
  const evicting = scorer({
    name: 'key-norm',
    budget: 20,
    sinks: 2,
    recent: 4,
    score: (_, { keys }) => sum(square(keys), { axis: 3 }),
  });

  it('is refused, by the names of both methods or of the layer', async () => {
    await expect(MethodRun.start(model, [evicting, tidalDecode()])).rejects.toThrow(
      /tidaldecode and key-norm cannot run/,
    );
    const evicted = await model.prefill(promptIds, { method: evicting });
    await expect(decodeLogits(tidalDecode(), [5], evicted)).rejects.toThrow(/layer 0 has lost tokens/);
    evicted.dispose();
  });
});

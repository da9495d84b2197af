import { denseRows, layerOverlap, type Method, MethodRun, type Tensor } from '@saccade/core';
import { assertClose, sharedGpu } from '@saccade/core/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LanguageModel } from '../src/index.ts';
import { randomLlama } from '../src/testing/index.ts';

const layers = 4;
const topK = 8;
const ids = Array.from({ length: 61 }, (_, index) => (index * index * 37 + 11) % 251);
let model: LanguageModel;

beforeAll(async () => {
  model = await randomLlama(await sharedGpu(), { layers });
});

afterAll(() => model.dispose());

/** Scores q k^T of the newest token, [layer][head][position], read from a dense step. */
async function scoresOfNewest(): Promise<number[][][]> {
  const kept: Tensor[] = [];
  const watch: Method = {
    name: 'watch',
    options: {},
    phases: ['decode'],
    attend({ gpu }, call, next) {
      kept.push(gpu.keep(call.q.alias()), gpu.keep(denseRows(call.keys, call.keys.shape[2] as number)));
      return next();
    },
  };
  const prompt = await model.prefill(ids.slice(0, -1));
  const run = await MethodRun.start(model, watch);
  run.phase = 'decode';
  const { hidden, logits } = model.forward(ids.slice(-1), { cache: prompt.kv, run });
  const data = (await model.gpu.read(kept)) as Float32Array[];
  const capacity = kept[1]?.shape[2] as number;
  for (const tensor of [...kept, hidden, logits]) tensor?.dispose();
  run.dispose();
  prompt.dispose();
  const { heads, kvHeads, headSize } = model.facts;
  return Array.from({ length: layers }, (_, layer) =>
    Array.from({ length: heads }, (__, head) =>
      ids.map((___, position) => {
        const row = (Math.floor((head * kvHeads) / heads) * capacity + position) * headSize;
        let sum = 0;
        for (let d = 0; d < headSize; d++)
          sum += (data[2 * layer]?.[head * headSize + d] as number) * (data[2 * layer + 1]?.[row + d] as number);
        return sum / Math.sqrt(headSize);
      }),
    ),
  );
}

function best(values: readonly number[]): number[] {
  return values
    .map((_, position) => position)
    .sort((a, b) => (values[b] as number) - (values[a] as number))
    .slice(0, topK);
}

describe('layerOverlap', () => {
  it('equals the overlap of the layers’ own sets, per query head and for all heads', async () => {
    const scores = await scoresOfNewest();
    const meanOf = (perHead: readonly number[][]) =>
      ids.map((_, position) => perHead.reduce((sum, head) => sum + (head[position] as number), 0) / perHead.length);
    for (const [per, setsOf] of [
      ['queryHead', (perHead: number[][]) => perHead.map(best)],
      ['allHeads', (perHead: number[][]) => [best(meanOf(perHead))]],
    ] as const) {
      const sets = scores.map(setsOf);
      const profile = await layerOverlap(model, [ids], { topK, queries: 1, per });
      const expected = sets.flatMap((a) =>
        sets.map(
          (b) =>
            a.reduce((sum, own, index) => sum + own.filter((at) => b[index]?.includes(at)).length / topK, 0) / a.length,
        ),
      );
      assertClose(profile.overlap, expected, { absolute: 1e-6, name: per });
      expect(profile).toMatchObject({ layers, topK, samples: sets[0]?.length });
    }
  });

  it('looks at tokens decoded under a method, and frees everything', async () => {
    const before = model.gpu.stats().liveBytes;
    const dense = await layerOverlap(model, [ids], { topK, queries: 2 });
    const nothing: Method = { name: 'nothing', options: {}, phases: ['decode'], attend: (_, __, next) => next() };
    expect(await layerOverlap(model, [ids], { topK, queries: 2, method: nothing })).toEqual(dense);
    const narrow: Method = {
      ...nothing,
      attend: ({ layer }, _, next) => next(layer === 0 ? { slidingWindow: 3 } : undefined),
    };
    const changed = await layerOverlap(model, [ids], { topK, queries: 2, method: narrow });
    expect(changed.overlap).not.toEqual(dense.overlap);
    expect(model.gpu.stats().liveBytes).toBe(before);
  });

  it('refuses short texts and empty sets, by name', async () => {
    await expect(layerOverlap(model, [], {})).rejects.toThrow(/texts/);
    await expect(layerOverlap(model, [ids], { topK: 61 })).rejects.toThrow(/texts.*more than 61/);
    await expect(layerOverlap(model, [ids], { topK: 0 })).rejects.toThrow(/topK/);
    await expect(layerOverlap(model, [ids], { topK, queries: 0 })).rejects.toThrow(/queries/);
  });
});

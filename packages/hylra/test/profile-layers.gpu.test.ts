import { attention, layerOverlap, type Method, MethodRun, ownSelection, type Tensor } from '@saccade/core';
import { assertClose, sharedGpu } from '@saccade/core/testing';
import type { LanguageModel } from '@saccade/models';
import { randomLlama } from '@saccade/models/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  fullLayers,
  hylra,
  jumpPolicy,
  type LayerPolicy,
  pathSimilarity,
  profileLayers,
  solveBudgetPolicy,
  solveThresholdPolicy,
} from '../src/index.ts';
import { allPolicies } from './brute-force.ts';

const layers = 6;
const topK = 8;
const texts = [37, 41].map((factor) => Array.from({ length: 61 }, (_, index) => (index * index * factor + 11) % 251));
let model: LanguageModel;

beforeAll(async () => {
  model = await randomLlama(await sharedGpu(), { layers });
});

afterAll(() => model.dispose());

/** Relative error of layer j's output in a dense step when it reads the set of layer i: [L, L]. */
async function crossErrors(ids: readonly number[]): Promise<number[][]> {
  const kept: { readonly source: number; readonly layer: number; readonly output: Tensor; readonly exact: Tensor }[] =
    [];
  const sets: ReturnType<typeof ownSelection>[] = [];
  const method: Method = {
    name: 'cross-errors',
    options: {},
    phases: ['decode'],
    attend(context, call, next) {
      const { gpu, layer } = context;
      const exact = next();
      const own = ownSelection(context, call, { topK, per: 'allHeads', forceNewest: 1 });
      gpu.keep(own.indices);
      sets.push(own);
      sets.forEach((tokens, source) => {
        const { output } = attention(call.q, call.keys, call.values, { ...call.options, tokens });
        kept.push({ source, layer, output: gpu.keep(output.alias()), exact: gpu.keep(exact.output.alias()) });
      });
      return exact;
    },
  };
  const prompt = await model.prefill(ids.slice(0, -1));
  const run = await MethodRun.start(model, method);
  run.phase = 'decode';
  model.forward(ids.slice(-1), { cache: prompt.kv, run, logits: 'none' }).hidden.dispose();
  const errors = Array.from({ length: layers }, () => new Array<number>(layers).fill(0));
  for (const { source, layer, output, exact } of kept) {
    const [a, b] = (await model.gpu.read([output, exact])) as [Float32Array, Float32Array];
    const squares = (values: Float32Array) => values.reduce((sum, value) => sum + value * value, 0);
    (errors[source] as number[])[layer] = Math.sqrt(
      squares(a.map((value, at) => value - (b[at] as number))) / squares(b),
    );
    output.dispose();
    exact.dispose();
  }
  for (const { indices } of sets) indices.dispose();
  run.dispose();
  prompt.dispose();
  return errors;
}

describe('profileLayers', () => {
  it('measures each layer’s error under its own set, its divergence, and the spread of its mass', async () => {
    const shares: number[] = [];
    const before = model.gpu.stats().liveBytes;
    const profile = await profileLayers(model, [texts[0] as number[]], {
      topK,
      queries: 1,
      blockSize: 4,
      onProgress: (share) => shares.push(share),
    });
    expect(model.gpu.stats().liveBytes).toBe(before);
    const errors = await crossErrors(texts[0] as number[]);
    assertClose(
      profile.rnmse,
      errors.map((row, layer) => row[layer] as number),
      { absolute: 1e-5 },
    );
    expect(profile).toMatchObject({ layers, topK, samples: 1 });
    expect(profile.divergence).toHaveLength(layers);
    for (const value of profile.divergence as Float32Array) expect(value).toBeGreaterThan(0);
    for (const value of profile.massRatio90) {
      expect(value).toBeGreaterThan(0);
      expect(value).toBeLessThanOrEqual(1);
    }
    expect(shares.at(-1)).toBeCloseTo(1);
    expect([...shares].sort((a, b) => a - b)).toEqual(shares);
  });

  it('errs less the more a set holds; divergences may be left out', async () => {
    const text = (texts[0] as number[]).slice(0, 30);
    const [few, most] = await Promise.all(
      [4, 29].map((k) => profileLayers(model, [text], { topK: k, queries: 1, divergence: false })),
    );
    expect(most?.divergence).toBeUndefined();
    most?.rnmse.forEach((error, layer) => {
      expect(error).toBeLessThan(few?.rnmse[layer] as number);
    });
  });

  it('check 4: two layers of equal weights and inputs have overlap 1 and equal errors', async () => {
    const names = (layer: number, name: string) => name.startsWith(`model.layers.${layer}.`);
    const weights = new Map<string, Float32Array>();
    const twins = await randomLlama(
      await sharedGpu(),
      { layers: 3 },
      {
        // Layer 0 adds nothing to the stream, and layer 1 has its weights.
        edit(name, shape) {
          const size = shape.reduce((product, count) => product * count, 1);
          if (shape.length === 1 || !(names(0, name) || names(1, name))) return undefined;
          if (/o_proj|down_proj/.test(name)) return new Float32Array(size);
          const key = name.replace(/layers\.\d/, 'layers.*');
          const known =
            weights.get(key) ??
            Float32Array.from({ length: size }, (_, index) => Math.sin(index * 1.7 + key.length) / 4);
          weights.set(key, known);
          return known;
        },
      },
    );
    const profile = await profileLayers(twins, [texts[0] as number[]], { topK, queries: 2, divergence: false });
    expect(profile.overlap[0 * 3 + 1]).toBe(1);
    expect(profile.rnmse[1]).toBe(profile.rnmse[0]);
    expect(profile.overlap[0 * 3 + 2]).toBeLessThan(1);
    twins.dispose();
  });

  it('check 6: the search’s policy errs no more than the worst of as many full layers, and keeps more than Jump3', async () => {
    const profile = await profileLayers(model, texts, { topK, queries: 1, divergence: false });
    const errors = await Promise.all(texts.map(crossErrors));
    const errorOf = (policy: LayerPolicy) => {
      const reused = policy.flatMap((source, layer) =>
        source < 0 ? [] : errors.map((perText) => (perText[source] as number[])[layer] as number),
      );
      return reused.reduce((sum, value) => sum + value, 0) / reused.length;
    };
    const jump = jumpPolicy(layers, 3);
    const found = solveBudgetPolicy([profile.overlap], { layers, maxRefresh: fullLayers(jump).length - 1 });
    const equal = allPolicies(layers).filter((policy) => fullLayers(policy).length === fullLayers(jump).length);
    expect(errorOf(found.policy)).toBeLessThanOrEqual(Math.max(...equal.map(errorOf)));
    // At Jump3's number of full layers, the threshold that allows it leaves a path that is at least as similar.
    const theta = Math.min(
      ...jump.flatMap((source, layer) => (source < 0 ? [] : profile.overlap[source * layers + layer]!)),
    );
    const searched = solveThresholdPolicy(profile, { theta });
    if (searched.fullLayers === fullLayers(jump).length)
      expect(searched.similarity).toBeGreaterThanOrEqual(pathSimilarity(jump, profile.overlap));
    else expect(searched.fullLayers).toBeLessThan(fullLayers(jump).length);
  });

  it('check 8: overlaps can be measured again under the policy; on long chains they are no larger on average', async () => {
    const rule = { topK, queries: 3, per: 'allHeads', forceNewest: 1 } as const;
    const policy = [-1, 0, 0, 0, 0, 0];
    const dense = await layerOverlap(model, texts, rule);
    const sparse = await layerOverlap(model, texts, { ...rule, method: hylra({ topK, policy }) });
    const along = (overlap: Float32Array) => (pathSimilarity(policy, overlap) - 1) / (layers - 1);
    expect(sparse.overlap).not.toEqual(dense.overlap);
    expect(along(sparse.overlap)).toBeLessThanOrEqual(along(dense.overlap) + 1e-6);
  });

  it('stops when it is told to', async () => {
    const controller = new AbortController();
    const profiling = profileLayers(model, texts, {
      topK,
      signal: controller.signal,
      onProgress: () => controller.abort(),
    });
    await expect(profiling).rejects.toThrow(/abort/i);
    await expect(profileLayers(model, texts, { blockSize: 0 })).rejects.toThrow(/blockSize/);
  });
});

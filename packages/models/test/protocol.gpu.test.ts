import { denseRows, type Method, MethodRun, NoSelectionError, RefusedError, type Tensor } from '@saccade/core';
import { sharedGpu } from '@saccade/core/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LanguageModel } from '../src/index.ts';
import { randomLlama } from '../src/testing/index.ts';

let model: LanguageModel;

beforeAll(async () => {
  model = await randomLlama(await sharedGpu(), { layers: 3, vocabularySize: 64 });
});

afterAll(() => model.dispose());

const ids = [5, 9, 30, 2];

/** A method that does nothing but what a test gives it. */
function method(parts: Partial<Method>): Method {
  return { name: 'toy', options: {}, phases: ['prefill', 'decode'], ...parts };
}

async function collect(given: Method, maxTokens = 4): Promise<number[]> {
  const taken: number[] = [];
  for await (const piece of model.generate(ids, { method: given, maxTokens, ignoreEndOfText: true }))
    taken.push(...piece.ids);
  return taken;
}

describe('requires', () => {
  it('refuses a model that lacks something and names the method, the model and every reason', async () => {
    const demanding = method({
      requires: {
        direction: 'bidirectional',
        globalLayers: 9,
        check: (facts) => `wants wheels, not ${facts.heads} heads`,
      },
    });
    const refused = MethodRun.start(model, demanding);
    await expect(refused).rejects.toThrow(RefusedError);
    await expect(refused).rejects.toThrow(
      /toy.*random-llama.*bidirectional.*it is causal.*9 global layers; it has 3.*wheels, not 4/,
    );
    await expect(collect(demanding)).rejects.toThrow(RefusedError);
  });

  it('lets a model pass that has it all', async () => {
    const run = await MethodRun.start(model, method({ requires: { direction: 'causal', globalLayers: 3 } }));
    run.dispose();
  });
});

describe('createState', () => {
  it('makes one state per run, disposed with it; a nested run has its own', async () => {
    const live = new Set<object>();
    let made = 0;
    let nested = false;
    const stateful: Method = method({
      async createState(handle) {
        const state = { number: made++, dispose: () => live.delete(state) };
        live.add(state);
        if (!nested) {
          nested = true;
          const inner = await MethodRun.start(handle, stateful);
          expect(inner.state).not.toBe(state);
          inner.dispose();
        }
        return state;
      },
    });
    const [a, b] = [await MethodRun.start(model, stateful), await MethodRun.start(model, stateful)];
    expect(a.state).not.toBe(b.state);
    expect([made, live.size]).toEqual([3, 2]);
    a.dispose();
    b.dispose();
    expect(live.size).toBe(0);
    await collect(stateful);
    expect(live.size).toBe(0);
  });

  it('may run the model, and the run it prepares still gives the model’s own tokens', async () => {
    const dense = await collect(method({}));
    const calibrating = method({
      async createState(handle) {
        const logits = await handle.logits([1, 2, 3]);
        logits.dispose();
        return {};
      },
    });
    expect(await collect(calibrating)).toEqual(dense);
  });
});

describe('attend', () => {
  it('is called once per layer and pass, with phase, lengths and the model’s own mask', async () => {
    const seen: string[] = [];
    const watching = method({
      attend({ layer, globalLayer, phase, queryLength, keyLength }, call, next) {
        seen.push(`${layer}/${globalLayer} ${phase} ${queryLength} of ${keyLength} ${call.options.causal}`);
        return next();
      },
    });
    await collect(watching, 2);
    const pass = (text: string) => [0, 1, 2].map((layer) => `${layer}/${layer} ${text} true`);
    expect(seen).toEqual([...pass('prefill 4 of 4'), ...pass('decode 1 of 5')]);
  });

  it('can narrow what a layer sees: a list of the newest token gives that token’s value', async () => {
    const gpu = await sharedGpu();
    const outputs: Tensor[] = [];
    const narrow = method({
      attend({ layer, phase, keyLength }, call, next) {
        if (phase === 'prefill') return next();
        const tokens = {
          indices: gpu.tensor([keyLength - 1, keyLength - 1], [1, 2, 1], 'u32'),
          per: 'kvHead' as const,
        };
        const result = next({ tokens });
        if (layer === 0)
          outputs.push(
            gpu.keep(result.output.alias()),
            gpu.keep(denseRows(call.values, keyLength).slice(2, keyLength - 1, keyLength)),
          );
        return result;
      },
    });
    await collect(narrow, 2);
    const [output, values] = (await gpu.read(outputs)) as [Float32Array, Float32Array];
    for (let head = 0; head < 4; head++) {
      const value = values.subarray(Math.floor(head / 2) * 16, Math.floor(head / 2) * 16 + 16);
      expect([...output.subarray(head * 16, head * 16 + 16)]).toEqual([...value]);
    }
    for (const tensor of outputs) tensor.dispose();
  });
});

describe('index store', () => {
  it('hands lists to later layers, forgets them before the next pass, and frees them', async () => {
    const gpu = await sharedGpu();
    const before = gpu.stats().liveBytes;
    const owners: number[] = [];
    const handing = method({
      attend({ layer, indices }, _call, next) {
        owners.push(indices.layer);
        if (layer < 2) indices.set(layer, { indices: gpu.tensor([0, 0], [1, 2, 1], 'u32'), per: 'kvHead' });
        else expect(indices.get(layer).per).toBe('kvHead');
        return next();
      },
    });
    await collect(handing, 2);
    expect(owners).toEqual([-1, 0, 1, -1, 0, 1]);
    expect(gpu.stats().liveBytes).toBe(before);
  });

  it('says so when a layer asks and nothing was stored', async () => {
    const asking = method({ attend: ({ layer, indices }, _call, next) => next({ tokens: indices.get(layer) }) });
    await expect(collect(asking)).rejects.toThrow(NoSelectionError);
    await expect(collect(asking)).rejects.toThrow(/Layer 0/);
  });
});

describe('step', () => {
  it('runs between two tokens with the ids in the cache', async () => {
    const steps: string[] = [];
    const stepping = method({
      step(context) {
        if (context.phase !== 'decode') return;
        steps.push(`${context.decoded}: ${context.ids.length} ${context.cache.length}`);
      },
    });
    await collect(stepping, 4);
    expect(steps).toEqual(['1: 5 5', '2: 6 6']);
  });
});

import { ArgumentError, type Gpu, type Method, openGpu } from '@saccade/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LanguageModel, MemoryRequest } from '../src/index.ts';
import { randomLlama } from '../src/testing/index.ts';

let gpu: Gpu;
let model: LanguageModel;

beforeAll(async () => {
  // A device of its own: nobody else's tensors count.
  gpu = await openGpu();
  model = await randomLlama(gpu, {
    vocabularySize: 512,
    hiddenSize: 128,
    intermediateSize: 320,
    layers: 3,
    layerKinds: ['window', 'global', 'window'],
    slidingWindow: 32,
    contextLength: 2048,
  });
});

afterAll(() => {
  model.dispose();
  gpu.dispose();
});

async function measure({ context, newTokens = 8, batch = 1, method, cache }: MemoryRequest): Promise<number> {
  const prompt = Array.from({ length: context - newTokens }, (_, index) => (7 * index) % 512);
  const options = { maxTokens: newTokens, ignoreEndOfText: true, method, cache };
  gpu.resetPeak();
  const texts = batch === 1 ? model.generate(prompt, options) : model.generate(new Array(batch).fill(prompt), options);
  for await (const _ of texts);
  return gpu.stats().peakBytes;
}

/** Keeps a copy of every layer's keys between two passes. */
const copying: Method<{ copies: Map<number, { dispose(): void }>; dispose(): void }> = {
  name: 'copying',
  options: {},
  phases: ['prefill', 'decode'],
  createState() {
    const copies = new Map<number, { dispose(): void }>();
    return {
      copies,
      dispose() {
        for (const copy of copies.values()) copy.dispose();
      },
    };
  },
  afterAttention({ layer, state, gpu: device }, call) {
    state.copies.get(layer)?.dispose();
    state.copies.set(layer, device.keep(device.empty(call.keys.shape)));
  },
};

describe('estimateMemory', () => {
  it.each<[string, MemoryRequest]>([
    ['a short text', { context: 40, newTokens: 8 }],
    ['a prompt of several chunks', { context: 1300, newTokens: 8 }],
    ['a quantized cache', { context: 700, newTokens: 8, cache: { precision: 4 } }],
    ['a batch', { context: 200, newTokens: 8, batch: 6 }],
    ['a method with a state', { context: 300, newTokens: 8, method: copying }],
  ])('is within 5% of the measured peak: %s', async (_name, request) => {
    const before = gpu.stats();
    const estimate = await model.estimateMemory(request);
    expect(gpu.stats().dispatches).toBe(before.dispatches);
    expect(estimate.total).toBe(estimate.weights + estimate.cache + estimate.working);
    const peak = await measure(request);
    expect(Math.abs(estimate.total - peak) / peak).toBeLessThan(0.05);
    expect(gpu.stats().liveBytes).toBe(estimate.weights);
  });

  it('grows with context and batch', async () => {
    const of = async (request: MemoryRequest) => (await model.estimateMemory(request)).cache;
    const base = await of({ context: 512 });
    expect(await of({ context: 1024 })).toBeGreaterThan(1.8 * base);
    expect(await of({ context: 512, batch: 4 })).toBeGreaterThan(3.9 * base);
  });

  it.each<[string, MemoryRequest]>([
    ['context', { context: 1 }],
    ['context', { context: 4096 }],
    ['newTokens', { context: 10, newTokens: 10 }],
    ['batch', { context: 10, batch: 0 }],
  ])('refuses a wrong %s', async (name, request) => {
    const refused = model.estimateMemory(request);
    await expect(refused).rejects.toThrow(ArgumentError);
    await expect(refused).rejects.toThrow(name);
  });
});

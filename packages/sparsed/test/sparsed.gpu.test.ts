import { ArgumentError, type AttentionOptions, attention, type Method, RefusedError, type Tensor } from '@saccade/core';
import {
  assertClose,
  countKeyRows,
  type DenoisingInput,
  type DenoisingShape,
  headRows,
  modestGpu,
  poisonRows,
  runDenoisingSteps,
  sharedGpu,
} from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import { type BlockPattern, patternDensity, SparseDState, selectBlocks, sparseD } from '../src/index.ts';
import { blockSparseReference, selectBlocksReference } from '../src/reference.ts';
import { attended, randomInput, readPattern, selected } from './patterns.ts';

/** Ragged, grouped queries, two samples. */
const shape: DenoisingShape = { batches: 2, layers: 2, heads: 4, kvHeads: 2, length: 37, headSize: 16 };

const inputs = (step: number, layer: number) => randomInput(shape, 10 * step + layer + 1);

/** A method that tells what sparseD, to its left, hands on. */
function watcher(look: (layer: number, options: AttentionOptions) => void): Method {
  return {
    name: 'watcher',
    options: {},
    phases: ['denoise'],
    attend(context, call, next) {
      look(context.layer, call.options);
      return next();
    },
  };
}

/** The method, and the state of its run. */
function remembering(method: Method<SparseDState>): { method: Method<SparseDState>; state: () => SparseDState } {
  let state: SparseDState | undefined;
  return {
    method: {
      ...method,
      createState(model, settings) {
        state = method.createState?.(model, settings) as SparseDState;
        return state;
      },
    },
    state: () => state as SparseDState,
  };
}

describe('limiting cases', () => {
  it('check 1: all blocks give dense attention at every step; skip 1 is dense to the last bit', async () => {
    const gpu = await sharedGpu();
    const before = gpu.stats().liveBytes;
    const given = { steps: 5, promptTokens: 20, input: inputs };
    const dense = await runDenoisingSteps(gpu, shape, [], given);
    const all = await runDenoisingSteps(gpu, shape, sparseD({ select: 1, blockSize: 8 }), given);
    const never = await runDenoisingSteps(gpu, shape, sparseD({ skip: 1, blockSize: 8 }), given);
    dense.flat().forEach((output, index) => {
      assertClose(all.flat()[index] as Float32Array, output, { absolute: 1e-5 });
      expect(never.flat()[index]).toEqual(output);
    });
    expect(gpu.stats().liveBytes).toBe(before);
  });
});

describe('sparse steps', () => {
  const options = { skip: 0.2, select: 0.3, blockSize: 8 } as const;
  for (const [name, more, open] of [
    ['as the code', {}, sharedGpu],
    ['as the code, on the least device', {}, modestGpu],
    ['as the paper', { selection: 'paper' }, sharedGpu],
    ['jointly', { isolated: false }, sharedGpu],
    ['with another scale of importance', { importanceScale: 0.5 }, sharedGpu],
  ] as const) {
    it(`check 2: attend as the reference with -inf outside of the blocks that it chooses, ${name}`, async () => {
      const gpu = await open();
      const steps = 4; // 0 and 1 are dense, and 1 chooses
      const outputs = await runDenoisingSteps(gpu, shape, sparseD({ ...options, ...more }), {
        steps,
        promptTokens: 20,
        input: inputs,
      });
      const selection = { isolated: true, selection: 'reference', ...options, ...more, promptLength: 20 } as const;
      const scale = 'importanceScale' in more ? { scale: more.importanceScale } : {};
      for (let layer = 0; layer < shape.layers; layer++) {
        const [q, k] = inputs(1, layer);
        const [sparseQ, sparseK, sparseV] = inputs(3, layer);
        for (let head = 0; head < shape.batches * shape.heads; head++) {
          const kv = Math.floor(head / 2);
          const rows = (data: ArrayLike<number>, at: number) => headRows(data, at, shape);
          const pattern = selectBlocksReference(rows(q, head), rows(k, kv), { ...selection, ...scale });
          const expected = blockSparseReference(
            rows(sparseQ, head),
            rows(sparseK, kv),
            rows(sparseV, kv),
            pattern,
            options.blockSize,
          );
          const own = headRows(outputs[3]?.[layer] as Float32Array, head, shape);
          assertClose(own.flat(), expected.flat(), { absolute: 1e-5, name: `layer ${layer}, head ${head}` });
        }
      }
    });
  }

  it('check 2: for any pattern, no block outside of it is loaded (poisoning and counting)', async () => {
    const gpu = await sharedGpu();
    const c = { ...shape, batches: 1 };
    const input = randomInput(c, 5);
    // Heads 0 and 1 read the keys of one head, heads 2 and 3 those of another; block 4 is ragged.
    const lists = [0, 1, 2, 3].map((head) =>
      Array.from({ length: 5 }, (_, row) => (head < 2 ? [1, ...(row % 2 ? [4] : [])] : [row % 2, 3])),
    );
    const kept = (kvHead: number, position: number) =>
      lists
        .slice(2 * kvHead, 2 * kvHead + 2)
        .flat(2)
        .includes(Math.floor(position / 8));
    const kv = [1, c.kvHeads, c.length, c.headSize];
    const poisoned: DenoisingInput = [input[0], poisonRows(input[1], kv, kept), poisonRows(input[2], kv, kept)];
    const clean = await attended(gpu, c, input, lists, 8);
    expect(await attended(gpu, c, poisoned, lists, 8)).toEqual(clean);
    for (let head = 0; head < 4; head++) {
      const pattern = (lists[head] as number[][]).map((list) => [0, 1, 2, 3, 4].map((block) => list.includes(block)));
      const [q, k, v] = [0, 1, 2].map((which) =>
        headRows(input[which] as Float32Array, which ? head >> 1 : head, c),
      ) as [number[][], number[][], number[][]];
      const own = headRows(clean, head, c);
      assertClose(own.flat(), blockSparseReference(q, k, v, pattern, 8).flat(), { absolute: 1e-5 });
    }
    // Through the method: 8 row blocks that keep 3 of 8 blocks load 3 / 8 of the dense step's key rows.
    const even = { ...c, heads: 2, length: 64 };
    const counted = (blocks: BlockPattern | undefined) =>
      countKeyRows(gpu, (keyRowCounter) => {
        const [q, k, v] = randomInput(even, 6);
        const keys = gpu.tensor(k, [1, 2, 64, 16]);
        const plan = { parts: 1, sharedRows: 8 };
        const list = blocks ? { blocks } : {};
        attention(gpu.tensor(q, [1, 2, 64, 16]), keys, gpu.tensor(v, [1, 2, 64, 16]), { ...list, plan, keyRowCounter });
      });
    const chosen = gpu.tidy(() => {
      const [q, k] = randomInput(even, 6);
      const keys = gpu.tensor(k, [1, 2, 64, 16]);
      return selectBlocks(gpu.tensor(q, [1, 2, 64, 16]), keys, {
        ...options,
        isolated: false,
        selection: 'reference',
        promptLength: 0,
      });
    });
    expect((await counted(chosen)) * 8).toBe((await counted(undefined)) * 3);
    chosen.indices.dispose();
    chosen.counts.dispose();
  });

  it('check 3: 27 dense and 101 sparse calls per layer, blocks chosen once; another generation chooses anew', async () => {
    const gpu = await sharedGpu();
    const c = { ...shape, batches: 1, length: 16, headSize: 8 };
    const calls = Array.from({ length: c.layers }, () => ({ dense: 0, sparse: 0, lists: new Set<Tensor>() }));
    const { method, state } = remembering(sparseD({ skip: 0.2, select: 0.3, blockSize: 4 }));
    const watch = watcher((layer, { blocks }) => {
      const own = calls[layer] as (typeof calls)[0];
      if (blocks) own.lists.add(blocks.indices);
      own[blocks ? 'sparse' : 'dense']++;
    });
    const first = (_: number, layer: number) => randomInput(c, layer + 1);
    const second = (_: number, layer: number) => randomInput(c, layer + 7);
    let generation = 0;
    const patterns: number[][][][] = [];
    const indices = Array.from({ length: 256 }, (_, index) => index % 128);
    const { readbacks } = gpu.stats();
    await runDenoisingSteps(gpu, c, [method, watch], {
      steps: 128,
      promptTokens: 8,
      indices,
      input: (step, layer) => (generation === 0 ? first : second)(step, layer),
      async after(step) {
        if (step !== 127) return;
        if (generation === 0) {
          expect(calls.map(({ dense, sparse, lists }) => [dense, sparse, lists.size])).toEqual([
            [27, 101, 1],
            [27, 101, 1],
          ]);
          // One readback per step: the test's own, of the outputs.
          expect(gpu.stats().readbacks).toBe(readbacks + 128);
        }
        for (const { blocks } of state().patterns) patterns.push(await readPattern(blocks));
        const kept = patterns
          .slice(-2)
          .flat(2)
          .map((list) => list.length / 4);
        const mean = kept.reduce((sum, share) => sum + share, 0) / kept.length;
        expect(await patternDensity(state())).toBeCloseTo(mean, 6);
        generation++;
      },
    });
    const options = { select: 0.3, blockSize: 4, isolated: true, selection: 'reference', promptLength: 8 } as const;
    const expected = await Promise.all(
      [first(0, 0), first(0, 1), second(0, 0), second(0, 1)].map((input) => selected(gpu, c, input, options)),
    );
    expect(patterns).toEqual(expected);
    expect(patterns[0]).not.toEqual(patterns[2]);
  });

  it('refuses steps out of order, steps without a pattern, and other batches and lengths', async () => {
    const gpu = await sharedGpu();
    const method = sparseD({ blockSize: 8 });
    const given = { steps: 10, input: inputs };
    await expect(runDenoisingSteps(gpu, shape, method, { ...given, indices: [5] })).rejects.toThrow(
      /no blocks for layer 0/,
    );
    await expect(runDenoisingSteps(gpu, shape, method, { ...given, indices: [3, 2] })).rejects.toThrow(
      /step: got 2.*3 or a later/,
    );
    const state = new SparseDState(gpu);
    const blocks = { indices: gpu.zeros([1, 1, 1, 1], 'u32'), counts: gpu.zeros([1, 1, 1], 'u32') };
    const key = state.enter(3, 0, 0);
    state.store(key, { ...blocks, queryBlock: 8, keyBlock: 8, per: 'queryHead' }, [1, 4, 37, 16]);
    expect(() => state.find(key, [1, 4, 36, 16])).toThrow(/tokens: got \[1,4,36\]; allowed: 1,4,37/);
    // Guidance that is a batch turns up as one.
    expect(() => state.find(key, [2, 4, 37, 16])).toThrow(ArgumentError);
    expect(state.find(key, [1, 4, 37, 16]).indices).toBe(blocks.indices);
    // A second pass of the same step, such as a branch of guidance, has blocks of its own.
    const branch = state.enter(3, 0, 0);
    expect(branch).toEqual({ layer: 0, sequence: 0, pass: 1 });
    // One that was not there when blocks were chosen has none.
    expect(() => state.find(branch, [1, 4, 37, 16])).toThrow(RefusedError);
    expect(state.enter(0, 0, 0)).toEqual({ layer: 0, sequence: 0, pass: 0 });
    expect(() => state.find(key, [1, 4, 37, 16])).toThrow(RefusedError);
  });
});

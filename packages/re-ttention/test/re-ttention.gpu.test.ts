import {
  ArgumentError,
  type Gpu,
  type Method,
  parseOptions,
  RefusedError,
  type Tensor,
  type TokenGrid,
} from '@saccade/core';
import {
  assertClose,
  type DenoisingInput,
  type DenoisingShape,
  headRows,
  modestGpu,
  randomArray,
  runDenoisingSteps,
  sharedGpu,
} from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import { type ReTtentionOptions, ReTtentionState, reTtention, reTtentionOptions } from '../src/index.ts';
import { cacheReference, type HeadStep, keptAttention, sparseReference } from '../src/reference.ts';
import { keeps, maskOfGrid } from '../src/static-mask.ts';
import { perturbed, toy, toyHeads } from './toy.ts';

/** Ragged, grouped queries, two samples. */
const shape: DenoisingShape = { batches: 2, layers: 2, heads: 4, kvHeads: 2, length: 37, headSize: 16 };
const video: TokenGrid = { frames: 3, height: 2, width: 5, textTokens: 7, textFirst: true };
const image: TokenGrid = { height: 37, width: 1, textTokens: 0, textFirst: false };
/** Each token keeps all others: 37 frames of one token. */
const everyKey: TokenGrid = { frames: 37, height: 1, width: 1, textTokens: 0, textFirst: false };
const early = { warmupSteps: 1, cachePeriod: 4 } as const;

function input(step: number, layer: number): DenoisingInput {
  const { batches, heads, kvHeads, length, headSize } = shape;
  const seed = 50 * step + 5 * layer;
  const rows = (of: number, own: number, scale: number) =>
    randomArray(batches * of * length * headSize, seed + own, { scale });
  return [rows(heads, 1, 3), rows(kvHeads, 2, 3), rows(kvHeads, 3, 1)];
}

/** Head `head` of sample `batch`, counted as b H + h. */
function headOf([q, k, v]: DenoisingInput, head: number, c = shape): HeadStep {
  const kv = Math.floor((head * c.kvHeads) / c.heads);
  return { q: headRows(q, head, c), k: headRows(k, kv, c), v: headRows(v, kv, c) };
}

/** The method, and what its state holds at the end of each step. */
function watched(options: ReTtentionOptions) {
  const method = reTtention(options);
  let state: ReTtentionState | undefined;
  const watching: Method<ReTtentionState> = {
    ...method,
    createState(...given) {
      state = method.createState?.(...given) as ReTtentionState;
      return state;
    },
  };
  return { method: watching, state: () => state as ReTtentionState };
}

describe('caching steps', () => {
  for (const [name, grid, open] of [
    ['of images', image, sharedGpu],
    ['of images on the least device', image, modestGpu],
    ['of videos', video, sharedGpu],
    ['of videos on the least device', video, modestGpu],
  ] as const) {
    it(`check 1: ${name} give the dense output, whose parts are the ratio’s and the residual`, async () => {
      const gpu = await open();
      const { method, state } = watched({ ...early, density: 0.3 });
      const mask = maskOfGrid(37, grid, parseOptions(reTtentionOptions, { density: 0.3 }));
      const inside = (query: number, key: number) => keeps(mask, query, key);
      const given = { steps: 2, facts: { tokenGrid: grid }, input };
      const dense = await runDenoisingSteps(gpu, shape, [], given);
      const found: Float32Array[][] = [];
      const outputs = await runDenoisingSteps(gpu, shape, method, {
        ...given,
        async after(step) {
          if (step !== 1) return;
          for (const { ratio, residual } of state().caches) {
            const turned = gpu.tidy(() => [ratio.alias(), residual.transpose(0, 2, 1, 3)]);
            found.push((await gpu.read(turned)) as Float32Array[]);
            for (const tensor of turned) tensor.dispose();
          }
        },
      });
      expect(outputs).toEqual(dense);
      found.forEach(([ratio, residual], layer) => {
        for (let head = 0; head < 8; head++) {
          const own = headOf(input(1, layer), head);
          const expected = cacheReference(own, inside);
          assertClose((ratio as Float32Array).subarray(37 * head, 37 * (head + 1)), expected.ratio, { absolute: 1e-5 });
          // What the other keys contribute: probabilities with the kept ones zeroed, times values.
          const masked = keptAttention(own, (query, key) => !inside(query, key));
          const rest = masked.output.map((row, query) => row.map((x) => x * (1 - (expected.ratio[query] as number))));
          const rows = headRows(residual as Float32Array, head, shape).flat();
          assertClose(rows, expected.residual.flat(), { absolute: 1e-5 });
          assertClose(rows, rest.flat(), { absolute: 1e-5 });
        }
      });
      expect(found).toHaveLength(2);
    });
  }

  it('check 3: ratios are below 1, and what they leave is in the residual: of values that are all 1, 1 less the ratio', async () => {
    const gpu = await sharedGpu();
    const { method, state } = watched({ ...early, density: 0.3 });
    const ones: typeof input = (step, layer) => {
      const [q, k, v] = input(step, layer);
      return [q, k, new Float32Array(v.length).fill(1)];
    };
    let data: Float32Array[] = [];
    const outputs = await runDenoisingSteps(gpu, shape, method, {
      ...{ steps: 3, input: ones, facts: { tokenGrid: image } },
      async after(step) {
        if (step !== 1) return;
        const [cache] = state().caches;
        data = (await gpu.read([cache?.ratio, cache?.residual] as Tensor[])) as Float32Array[];
      },
    });
    const [ratio, residual] = data as [Float32Array, Float32Array];
    expect(Math.max(...ratio)).toBeLessThan(1);
    for (let batch = 0; batch < 2; batch++) {
      for (let query = 0; query < 37; query++) {
        for (let head = 0; head < 4; head++) {
          const left = 1 - (ratio[(batch * 4 + head) * 37 + query] as number);
          expect(Math.abs((residual[((batch * 37 + query) * 4 + head) * 16] as number) - left)).toBeLessThan(1e-5);
        }
      }
    }
    // A sparse step of other queries still sums to 1: its window's probabilities sum to the ratio, not to 1.
    assertClose(outputs[2]?.[0] as Float32Array, new Float32Array(ratio.length * 16).fill(1), { absolute: 1e-5 });
  });
});

describe('sparse steps', () => {
  for (const [name, grid, clampRatio] of [
    ['of images', image, false],
    ['of videos, clamped', video, true],
    ['of videos', video, false],
  ] as const) {
    it(`equal the reference, ${name}, for each m`, async () => {
      const gpu = await sharedGpu();
      const options = { ...early, density: 0.3, clampRatio };
      const mask = maskOfGrid(37, grid, parseOptions(reTtentionOptions, options));
      const inside = (query: number, key: number) => keeps(mask, query, key);
      const outputs = await runDenoisingSteps(gpu, shape, reTtention(options), {
        ...{ steps: 4, input, facts: { tokenGrid: grid } },
      });
      for (const m of [1, 2]) {
        for (let head = 0; head < 8; head++) {
          const cache = cacheReference(headOf(input(1, 1), head), inside);
          const own = headOf(input(1 + m, 1), head);
          const expected = sparseReference(own, inside, cache, { m, ramp: 0.04, clampRatio });
          const rows = headRows(outputs[1 + m]?.[1] as Float32Array, head, shape);
          assertClose(rows.flat(), expected.flat(), { absolute: 2e-5, name: `m ${m}, head ${head}` });
        }
      }
    });
  }

  it('check 2: with all keys kept a sparse step is dense, the second one 1.04 times unless clamped', async () => {
    const gpu = await sharedGpu();
    const given = { steps: 4, input, facts: { tokenGrid: everyKey } };
    const dense = await runDenoisingSteps(gpu, shape, [], given);
    const run = (options: ReTtentionOptions) =>
      runDenoisingSteps(gpu, shape, reTtention({ ...early, ...options }), given);
    const [plain, ramped, clamped] = [await run({ ramp: 0 }), await run({}), await run({ clampRatio: true })];
    for (const step of [2, 3]) {
      const exact = dense[step]?.[1] as Float32Array;
      assertClose(plain[step]?.[1] as Float32Array, exact, { absolute: 1e-5 });
      assertClose(clamped[step]?.[1] as Float32Array, exact, { absolute: 1e-5 });
      const factor = step === 2 ? 1 : 1.04;
      assertClose(
        ramped[step]?.[1] as Float32Array,
        exact.map((x) => factor * x),
        { absolute: 1e-5 },
      );
    }
  });

  it('check 2: a step that repeats the caching one without a ramp gives its output', async () => {
    const gpu = await sharedGpu();
    const same: typeof input = (_, layer) => input(1, layer);
    const options = { ...early, density: 0.3, ramp: 0 };
    const outputs = await runDenoisingSteps(gpu, shape, reTtention(options), {
      ...{ steps: 4, input: same, facts: { tokenGrid: video } },
    });
    for (const step of [2, 3]) {
      assertClose(outputs[step]?.[0] as Float32Array, outputs[0]?.[0] as Float32Array, { absolute: 1e-6 });
    }
  });

  it('check 5: ratios of steps 6 to 9 are those of step 5 and a ramp; the next sample begins anew', async () => {
    const gpu = await sharedGpu();
    const c = { ...shape, batches: 1, layers: 1, heads: 1, kvHeads: 1, headSize: 4 };
    // Values of 1: an output less the residual is the ramped ratio.
    const seeds = [3, 8];
    let sample = 0;
    const ones = (): DenoisingInput => {
      const rows = (own: number) => randomArray(37 * 4, 100 * (seeds[sample] as number) + own, { scale: 3 });
      return [rows(1), rows(2), new Float32Array(37 * 4).fill(1)];
    };
    const { method, state } = watched({ density: 0.3 });
    const steps: number[] = [];
    const outputs = await runDenoisingSteps(gpu, c, method, {
      ...{ steps: 20, indices: [...Array(20).keys(), ...Array(20).keys()], input: ones, facts: { tokenGrid: image } },
      after(step) {
        steps.push(state().caches[0]?.step ?? -1);
        if (step === 19) sample++;
      },
    });
    const kept = [...Array(5).fill(-1), ...Array(5).fill(5), ...Array(5).fill(10), ...Array(5).fill(15)];
    expect(steps).toEqual([...kept, ...kept]);
    outputs.forEach(([output], index) => {
      const step = index % 20;
      const expected = step < 5 ? 1 : 1 + 0.04 * Math.max(0, (step % 5) - 1);
      assertClose(output as Float32Array, new Float32Array(37 * 4).fill(expected), { absolute: 1e-5 });
    });
  });

  it('check 4: on the toy, sparse steps err as the reference does', async () => {
    const gpu = await sharedGpu();
    const c = {
      batches: 1,
      layers: 1,
      heads: toy.heads,
      kvHeads: toy.heads,
      length: toy.tokens,
      headSize: toy.headSize,
    };
    const before = toyHeads(true);
    const now = perturbed(before, 0.1);
    const given = (step: number): DenoisingInput => {
      const of = (name: 'q' | 'k' | 'v') => (step < 2 ? before : now).map((head) => head[name]).flat(2);
      return [of('q'), of('k'), of('v')];
    };
    // Half 4: floor(floor(256 * 0.034) / 2).
    const [output] = (
      await runDenoisingSteps(gpu, c, reTtention({ ...early, density: 0.034 }), {
        ...{ steps: 3, input: given, facts: { tokenGrid: { height: 16, width: 16, textTokens: 0, textFirst: false } } },
      })
    )
      .slice(2)
      .flat();
    const inside = (query: number, key: number) => Math.abs(query - key) <= toy.half;
    // One head in f64 takes long enough.
    const cache = cacheReference(before[1] as HeadStep, inside);
    const expected = sparseReference(now[1] as HeadStep, inside, cache, { m: 1, ramp: 0.04 });
    assertClose(headRows(output as Float32Array, 1, c).flat(), expected.flat(), { absolute: 2e-5 });
  });
});

describe('what sparse steps load', () => {
  const c: DenoisingShape = { batches: 1, layers: 1, heads: 2, kvHeads: 2, length: 256, headSize: 16 };
  const grid = { height: 16, width: 16, textTokens: 0, textFirst: false };
  const even = (step: number): DenoisingInput => {
    const rows = (own: number) => randomArray(2 * 256 * 16, 10 * step + own);
    return [rows(1), rows(2), rows(3)];
  };
  /** Counts what the engine loads in one step. */
  const counting = (counter: Tensor, at: number): Method => ({
    name: 'counting',
    options: {},
    phases: ['denoise'],
    attend: ({ step }, _call, next) => (step?.index === at ? next({ keyRowCounter: counter }) : next()),
  });

  /** Key rows that a dense step and a sparse one load. */
  const loadedRows = async (gpu: Gpu, tokenGrid: TokenGrid) => {
    const load = async (step: number) => {
      const counter = gpu.zeros([1], 'u32');
      const methods = [reTtention({ ...early, density: 1 / 16 }), counting(counter, step)];
      await runDenoisingSteps(gpu, c, methods, { steps: 3, input: even, facts: { tokenGrid } });
      const [count] = await counter.read();
      counter.dispose();
      return count as number;
    };
    return [await load(0), await load(2)] as const;
  };

  it('counting: of images, the keys that the rows of a workgroup keep together', async () => {
    const gpu = await sharedGpu();
    const [dense, sparse] = await loadedRows(gpu, grid);
    // A workgroup's rows stand one behind the other, and load all keys of a dense step.
    const rows = (256 * 2) / (dense / 256);
    const reach = Array.from({ length: 256 / rows }, (_, index) => {
      const first = index * rows;
      return Math.min(256, first + rows + 8) - Math.max(0, first - 8);
    });
    expect(sparse).toBe(2 * reach.reduce((sum, keys) => sum + keys, 0));
    expect(sparse).toBeLessThan(0.5 * dense);
  });

  it('counting: beside text, the blocks of 32 keys in which a block of 32 queries keeps one', async () => {
    const gpu = await sharedGpu();
    const frame: TokenGrid = { frames: 1, height: 16, width: 14, textTokens: 32, textFirst: true };
    const [dense, sparse] = await loadedRows(gpu, frame);
    const mask = maskOfGrid(256, frame, parseOptions(reTtentionOptions, { density: 1 / 16 }));
    const tokens = (block: number) => Array.from({ length: 32 }, (_, at) => 32 * block + at);
    const blocks = Array.from({ length: 8 }, (_, block) => block);
    const listed = blocks.flatMap((own) =>
      blocks.filter((other) => tokens(own).some((query) => tokens(other).some((key) => keeps(mask, query, key)))),
    ).length;
    expect(listed).toBe(34);
    const rows = (256 * 2) / (dense / 256);
    expect(sparse).toBe(2 * listed * 32 * Math.ceil(32 / rows));
  });

  it('poisoning: keys and values out of reach may hold anything', async () => {
    const gpu = await sharedGpu();
    const poisoned = (step: number): DenoisingInput => {
      const [q, k, v] = even(step);
      // In the sparse step, the last quarter of each head.
      const spoil = (data: ArrayLike<number>) =>
        Float32Array.from(data, (x, at) => (step === 2 && Math.floor(at / 16) % 256 >= 192 ? Number.NaN : x));
      return [q, spoil(k), spoil(v)];
    };
    const run = (given: typeof even) =>
      runDenoisingSteps(gpu, c, reTtention({ ...early, density: 1 / 16 }), {
        steps: 3,
        input: given,
        facts: { tokenGrid: grid },
      });
    const [clean, spoiled] = [await run(even), await run(poisoned)];
    for (const head of [0, 1]) {
      const rows = (of: Float32Array[][]) => headRows(of[2]?.[0] as Float32Array, head, c).slice(0, 128);
      expect(rows(spoiled)).toEqual(rows(clean));
    }
  });

  it('refuses samples that begin in the middle, steps out of order, and batches, lengths and branches that change', async () => {
    const gpu = await sharedGpu();
    const given = { steps: 20, input: even, facts: { tokenGrid: grid } };
    const run = (indices: number[], more: object = {}) =>
      runDenoisingSteps(gpu, c, reTtention(), { ...given, ...more, indices });
    await expect(run([6])).rejects.toThrow(/gathered nothing of layer 0/);
    await expect(run([3, 2])).rejects.toThrow(/step: got 2/);
    const wrong = { ...grid, frames: 3 };
    await expect(run([5], { facts: { tokenGrid: wrong } })).rejects.toThrow(/token grid/);
    const state = new ReTtentionState(gpu, parseOptions(reTtentionOptions, {}));
    const key = state.enter({ index: 5, stage: 0 }, 0, 0);
    state.store(key, { ratio: gpu.zeros([1, 2, 9]), residual: gpu.zeros([1, 9, 2, 4]) });
    expect(() => state.find(key, [1, 2, 8, 4])).toThrow(/got \[1,2,8\]/);
    // Guidance that is a batch turns up as one.
    expect(() => state.find(key, [2, 2, 9, 4])).toThrow(ArgumentError);
    // As many tokens that lie otherwise see others in the window of frames.
    state.window(9, 1, { height: 3, width: 3, textTokens: 0, textFirst: false });
    state.store(key, { ratio: gpu.zeros([1, 2, 9]), residual: gpu.zeros([1, 9, 2, 4]) });
    expect(state.find(key, [1, 2, 9, 4]).step).toBe(5);
    state.window(9, 1, { frames: 3, height: 1, width: 3, textTokens: 0, textFirst: false });
    expect(() => state.find(key, [1, 2, 9, 4])).toThrow(/token grid.*"frames":3.*"height":3/);
    // A branch that was not there when statistics were gathered has none.
    const branch = state.enter({ index: 5, stage: 0 }, 0, 0);
    expect(branch.pass).toBe(1);
    expect(() => state.find(branch, [1, 2, 9, 4])).toThrow(RefusedError);
    expect(() => state.find(state.enter({ index: 0, stage: 0 }, 0, 0), [1, 2, 9, 4])).toThrow(RefusedError);
    state.dispose();
  });
});

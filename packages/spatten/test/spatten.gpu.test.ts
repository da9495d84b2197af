import { type Method, MethodRun, type Tensor } from '@saccade/core';
import { assertClose, sharedGpu } from '@saccade/core/testing';
import type { LanguageModel } from '@saccade/models';
import { randomLlama } from '@saccade/models/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { gpt2Small, spatten as pruning, type SpattenOptions, type SpattenState } from '../src/index.ts';
import { type ReferenceImportance, spattenReference } from '../src/reference.ts';
import { randomPass, runStack, type StackPass, type StackShape } from './layers.ts';

/** Pruning in prompts too, unless told otherwise. */
const spatten = (options: SpattenOptions) => pruning({ phases: ['prefill', 'decode', 'encode'], ...options });

const shape: StackShape = { layers: 4, heads: 4, kvHeads: 2, headSize: 8 };
const tokenKeep = [1, 0.8, 0.5, 0.3];
const headKeep = [1, 1, 0.5, 0.5];
const passes = (): StackPass[] => [
  randomPass(shape, 20, 20, 'prefill'),
  randomPass(shape, 1, 21, 'decode', 2),
  randomPass(shape, 1, 22, 'decode', 3),
];

/** A method that shares another's state by its name, to look into it after each layer. */
function looking(
  method: Method<SpattenState>,
  look: (state: SpattenState, layer: number) => void,
): Method<SpattenState> {
  return {
    ...method,
    attend(context, call, next) {
      const result = method.attend?.(context, call, next) ?? next();
      look(context.state, context.globalLayer);
      return result;
    },
  };
}

describe('spatten on attention layers', () => {
  for (const [name, options] of [
    ['tokens', { tokenKeep }],
    ['heads', { headKeep, tokenKeep: [1, 1, 1, 1] }],
    ['tokens and heads', { tokenKeep, headKeep }],
    ['values', { tokenKeep: [1, 1, 1, 1], valueKeep: 0.4 }],
    ['tokens, heads and values', { tokenKeep, headKeep, valueKeep: 0.4 }],
    ['tokens, none protected but the newest', { tokenKeep, protectFirst: 0 }],
  ] as const satisfies readonly (readonly [string, SpattenOptions])[]) {
    it(`check 4: pruning ${name} equals the mask form in every layer, through a prompt and two steps`, async () => {
      const gpu = await sharedGpu();
      const before = gpu.stats().liveBytes;
      const given = passes();
      const outputs = await runStack(gpu, shape, spatten(options), given);
      const importance: ReferenceImportance = { tokens: [], heads: [] };
      const settings = { headKeep: [1, 1, 1, 1], valueKeep: 1, protectFirst: 1, ...options };
      given.forEach(({ layers }, pass) => {
        const expected = spattenReference(layers, settings, importance);
        expected.forEach(({ output }, layer) => {
          const own = outputs[pass]?.[layer]?.flat(2) as number[];
          assertClose(own, output.flat(2), { absolute: 1e-5, name: `pass ${pass}, layer ${layer}` });
        });
      });
      expect(gpu.stats().liveBytes).toBe(before);
    });
  }

  it('check 1: nothing pruned equals dense', async () => {
    const gpu = await sharedGpu();
    const dense = await runStack(gpu, shape, [], passes());
    const none = await runStack(gpu, shape, spatten({ averageTokenKeep: 1 }), passes());
    none.flat(4).forEach((value, index) => {
      expect(Math.abs(value - (dense.flat(4)[index] as number))).toBeLessThan(1e-5);
    });
  });

  it('check 2: a layer adds as much importance as it has heads times queries, also after pruning', async () => {
    const gpu = await sharedGpu();
    const totals: Tensor[] = [];
    const method = looking(spatten({ tokenKeep, valueKeep: 0.4 }), ({ cascade }) => {
      totals.push(gpu.keep((cascade.tokenImportance as Tensor).alias()));
    });
    await runStack(gpu, shape, method, passes());
    const sums = (await gpu.read(totals)).map((values) => [...values].reduce((total, value) => total + value, 0));
    for (const tensor of totals) tensor.dispose();
    sums.forEach((total, index) => {
      // In a prompt, a query all of whose keys were pruned would add less: the first token is protected.
      const added = total - (sums[index - 1] ?? 0);
      expect(added).toBeCloseTo(shape.heads * (index < 4 ? 20 : 1), 3);
    });
  });

  it('check 3: alive sets are nested, hold the newest token, and have the floor of their share', async () => {
    const gpu = await sharedGpu();
    const sets: (Tensor | undefined)[] = [];
    const method = looking(spatten({ tokenKeep }), ({ cascade }) => {
      sets.push(cascade.alive && gpu.keep(cascade.alive.alias()));
    });
    await runStack(gpu, shape, method, passes());
    const read = await Promise.all(sets.map(async (set) => set && [...(await set.read())]));
    for (const set of sets) set?.dispose();
    for (const [pass, n] of [20, 21, 22].entries()) {
      let before = Array.from({ length: n }, (_, row) => row);
      tokenKeep.forEach((share, layer) => {
        const alive = read[4 * pass + layer] ?? before;
        expect(alive).toHaveLength(Math.floor(share * n + 1e-9));
        expect(alive.every((row) => before.includes(row))).toBe(true);
        expect(alive.at(-1)).toBe(n - 1);
        expect(alive).toEqual([...alive].sort((a, b) => a - b));
        before = alive;
      });
    }
  });

  it('check 5: a head whose values are zero has no importance and goes first', async () => {
    const gpu = await sharedGpu();
    const given = passes().map(({ phase, layers }) => ({
      phase,
      layers: layers.map((layer) => ({
        ...layer,
        values: layer.values.map((rows, head) => (head === 0 ? rows.map((row) => row.map(() => 0)) : rows)),
      })),
    }));
    const heads: Tensor[] = [];
    const method = looking(spatten({ tokenKeep: [1, 1, 1, 1], headKeep }), ({ cascade }, layer) => {
      if (layer < 2) return;
      heads.push(
        gpu.keep((cascade.aliveHeads as Tensor).alias()),
        gpu.keep((cascade.headImportance as Tensor).alias()),
      );
    });
    const outputs = await runStack(gpu, shape, method, given);
    const read = (await gpu.read(heads)).map((values) => [...values]);
    for (const tensor of heads) tensor.dispose();
    read.forEach((values, index) => {
      if (index % 2 === 0) expect(values).toEqual([0, 1]);
      else expect(values[0]).toBe(0);
    });
    // The head that is left computes what it computes alone.
    const alone = await runStack(gpu, shape, [], given);
    expect(outputs[1]?.[2]?.slice(2)).toEqual(alone[1]?.[2]?.slice(2));
    expect(
      outputs[1]?.[2]
        ?.slice(0, 2)
        .flat(2)
        .every((value) => value === 0),
    ).toBe(true);
  });

  it('check 9: pruning half of the tokens by importance keeps the label, pruning at random loses it', async () => {
    const gpu = await sharedGpu();
    const toy: StackShape = { layers: 3, heads: 1, kvHeads: 1, headSize: 8 };
    const count = 32;
    let [kept, lost] = [0, 0];
    for (let trial = 0; trial < 8; trial++) {
      const label = 1 + ((trial * 7) % (count - 2));
      const base = randomPass(toy, 1, count, 'decode', 50 + trial);
      // The query looks for the label's key; only its value says the class.
      const layers = base.layers.map((layer) => ({
        q: [[[6, 0, 0, 0, 0, 0, 0, 0]]],
        keys: [layer.keys[0]?.map((row, at) => [at === label ? 3 : 0, ...row.slice(1)]) as number[][]],
        values: [layer.values[0]?.map((row, at) => [at === label ? 1 : 0, ...row.slice(1)]) as number[][]],
      }));
      const says = async (method: Method) => {
        const [[, , last]] = (await runStack(gpu, toy, method, [{ phase: 'decode', layers }])) as [number[][][][]];
        return (last?.[0]?.[0]?.[0] as number) > 0.5;
      };
      if (await says(spatten({ tokenKeep: [1, 0.5, 0.5] }))) kept++;
      const random: Method = {
        name: 'random',
        options: {},
        phases: ['decode'],
        attend({ gpu: device, layer }, _, next) {
          if (layer === 0) return next();
          const rows = Array.from({ length: count }, (__, row) => row).filter(
            (row) => (row * 13 + trial * 5) % 2 === 0,
          );
          const indices = device.tensor(rows, [1, 1, rows.length], 'u32');
          return next({ tokens: { indices, per: 'kvHead' } });
        },
      };
      if (!(await says(random))) lost++;
    }
    expect(kept).toBe(8);
    expect(lost).toBeGreaterThan(2);
  });

  it('GPT-2’s published shares on its shape read what the table says, by the kernel’s own count', async () => {
    const gpu = await sharedGpu();
    const gpt2: StackShape = { layers: 12, heads: 12, kvHeads: 12, headSize: 64 };
    const n = 1024;
    const random = (size: number, seed: number) =>
      Float32Array.from({ length: size }, (_, index) => Math.sin(index * 0.7 + seed * 13.1) * 2);
    const q = random(12 * 64, 1);
    const keys = random(12 * n * 64, 2);
    const values = random(12 * n * 64, 3);
    const counted: Tensor[] = [];
    const counting: Method = {
      name: 'counting',
      options: {},
      phases: ['decode'],
      attend({ gpu: device }, _, next) {
        const keyRowCounter = device.keep(device.zeros([1], 'u32'));
        counted.push(keyRowCounter);
        return next({ keyRowCounter });
      },
    };
    let trace: SpattenState['trace'] = [];
    const method = looking(spatten({ tokenKeep: gpt2Small.tokenKeep }), (state) => {
      trace = state.trace;
    });
    const rows = (data: Float32Array, count: number) =>
      Array.from({ length: 12 }, (_, head) =>
        Array.from({ length: count }, (__, row) => [
          ...data.subarray((head * count + row) * 64, (head * count + row + 1) * 64),
        ]),
      );
    const layer = { q: rows(q, 1), keys: rows(keys, n), values: rows(values, n) };
    const step: StackPass = { phase: 'decode', layers: new Array(12).fill(layer) };
    await runStack(gpu, gpt2, [method, counting], [step, step]);
    const counts = (await gpu.read(counted.slice(12))).map(([count]) => count as number);
    for (const tensor of counted) tensor.dispose();
    const table = [921, 716, 204, 204, 204, 204, 102, 102, 102, 102, 102, 102];
    expect(counts.map((count) => count / 12)).toEqual(table);
    expect(trace.map((each) => each.keys)).toEqual(table);
  });

  it('reads no pruned key or value: rows outside what is alive hold NaN and nothing changes', async () => {
    const gpu = await sharedGpu();
    const given = passes();
    for (const options of [{ tokenKeep }, { tokenKeep, valueKeep: 0.5 }]) {
      const alive: (Tensor | undefined)[] = [];
      const watched = looking(spatten(options), ({ cascade }) => {
        alive.push(cascade.alive && gpu.keep(cascade.alive.alias()));
      });
      const clean = await runStack(gpu, shape, watched, given);
      const sets = await Promise.all(alive.map(async (set) => set && [...(await set.read())]));
      for (const set of alive) set?.dispose();
      const poisoned = given.map(({ phase, layers }, pass) => ({
        phase,
        layers: layers.map((layer, index) => {
          const set = sets[4 * pass + index];
          const poison = (rows: readonly (readonly number[])[]) =>
            rows.map((row, at) => (set && !set.includes(at) ? row.map(() => Number.NaN) : row));
          return { ...layer, keys: layer.keys.map(poison), values: layer.values.map(poison) };
        }),
      }));
      expect(poisoned.some(({ layers }) => layers.some(({ keys }) => keys.flat(2).some(Number.isNaN)))).toBe(true);
      expect(await runStack(gpu, shape, spatten(options), poisoned)).toEqual(clean);
    }
  });

  it('may divide importance by visits, so that early tokens of a prompt are not favoured', async () => {
    const gpu = await sharedGpu();
    // Equal keys: every query spreads its attention evenly, and the first tokens are seen most often.
    const even = randomPass(shape, 20, 20, 'prefill');
    const layers = even.layers.map((layer) => ({
      ...layer,
      keys: layer.keys.map((rows) => rows.map(() => new Array(8).fill(0.5))),
    }));
    const aliveOf = async (options: SpattenOptions) => {
      let set: Tensor | undefined;
      const method = looking(
        spatten({ tokenKeep: [1, 0.5, 0.5, 0.5], protectFirst: 0, ...options }),
        ({ cascade }, layer) => {
          if (layer === 1) set = gpu.keep((cascade.alive as Tensor).alias());
        },
      );
      await runStack(gpu, shape, method, [{ phase: 'prefill', layers }]);
      const rows = [...(await (set as Tensor).read())];
      set?.dispose();
      return rows;
    };
    expect(await aliveOf({})).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 19]);
    // Mass per visit falls as well with the position here (1/1 + 1/2 + ... over 20 - j), yet slower.
    const perVisit = (j: number) =>
      Array.from({ length: 20 - j }, (_, i) => 1 / (j + i + 1)).reduce((a, b) => a + b, 0) / (20 - j);
    const order = Array.from({ length: 19 }, (_, row) => row).sort((a, b) => perVisit(b) - perVisit(a));
    expect(await aliveOf({ normalizeByVisits: true })).toEqual([...order.slice(0, 9).sort((a, b) => a - b), 19]);
  });
});

describe('spatten in models', () => {
  const prompt = Array.from({ length: 40 }, (_, index) => (index * index * 37 + 11) % 251);
  let decoder: LanguageModel;
  let encoder: LanguageModel;

  beforeAll(async () => {
    decoder = await randomLlama(await sharedGpu(), { layers: 4 });
    encoder = await randomLlama(await sharedGpu(), { layers: 4, causal: false });
  });

  afterAll(() => {
    decoder.dispose();
    encoder.dispose();
  });

  async function generated(method?: Method): Promise<number[]> {
    const ids: number[] = [];
    for await (const piece of decoder.generate(prompt, { method, maxTokens: 6, ignoreEndOfText: true }))
      ids.push(...piece.ids);
    return ids;
  }

  it('check 1: a budget of everything gives the dense tokens; a small one still generates, and everything is freed', async () => {
    const before = decoder.gpu.stats().liveBytes;
    expect(await generated(spatten({ averageTokenKeep: 1, valueKeep: 1 }))).toEqual(await generated());
    expect(await generated(spatten({ averageTokenKeep: 0.3, averageHeadKeep: 0.5, valueKeep: 0.5 }))).toHaveLength(6);
    expect(decoder.gpu.stats().liveBytes).toBe(before);
  });

  it('check 4: in an encoder, tokens that left equal tokens masked as keys; the first and the last stay', async () => {
    const gpu = encoder.gpu;
    const positions: (Tensor | undefined)[] = [];
    const keep = [1, 0.75, 0.5, 0.25];
    const compact = spatten({ tokenKeep: keep });
    const watched: Method<SpattenState> = {
      ...compact,
      attend(context, call, next) {
        positions.push(context.positions && gpu.keep(context.positions.alias()));
        return compact.attend?.(context, call, next) ?? next();
      },
    };
    const run = await MethodRun.start(encoder, watched);
    const { hidden, logits } = encoder.forward(prompt, { run, logits: 'none' });
    logits?.dispose();
    const rows = await Promise.all(
      positions.map(async (each) => (each ? [...(await each.read())] : prompt.map((_, row) => row))),
    );
    expect(rows.map((each) => each.length)).toEqual([40, 30, 20, 10]);
    for (const each of rows) expect([each[0], each.at(-1)]).toEqual([0, 39]);
    rows.slice(1).forEach((each, layer) => {
      expect(each.every((row) => rows[layer]?.includes(row))).toBe(true);
    });
    const masked: Method = {
      name: 'masked',
      options: {},
      phases: ['encode'],
      attend: ({ layer }, _, next) =>
        next({
          tokens: {
            indices: gpu.tensor(rows[layer] as number[], [1, 1, rows[layer]?.length as number], 'u32'),
            per: 'kvHead',
          },
        }),
    };
    const maskedRun = await MethodRun.start(encoder, masked);
    const whole = encoder.forward(prompt, { run: maskedRun, logits: 'none' });
    const all = await whole.hidden.read();
    const size = encoder.facts.hiddenSize;
    const last = rows[3] as number[];
    const expected = last.flatMap((row) => [...all.subarray(row * size, (row + 1) * size)]);
    assertClose(await hidden.read(), expected, { absolute: 1e-4 });
    for (const each of positions) each?.dispose();
    hidden.dispose();
    whole.hidden.dispose();
    run.dispose();
    maskedRun.dispose();
  });

  it('goes on from a fork of its state', async () => {
    const method = spatten({ averageTokenKeep: 0.5 });
    const run = await MethodRun.start(decoder, method);
    const read = await decoder.prefillWith(run, prompt, { reserve: 8 });
    const forked = { ...method, createState: () => run.stateOf(method).fork() };
    const own: number[][] = [];
    for (let again = 0; again < 2; again++) {
      const ids: number[] = [];
      for await (const piece of decoder.generate(read, { method: forked, maxTokens: 3, ignoreEndOfText: true }))
        ids.push(...piece.ids);
      own.push(ids);
    }
    expect(own[1]).toEqual(own[0]);
    read.dispose();
    run.dispose();
  });

  it('refuses schedules that do not fit the model when the run starts', async () => {
    await expect(MethodRun.start(decoder, spatten({ tokenKeep: [1, 0.5] }))).rejects.toThrow(
      /tokenKeep.*2 shares.*4 layers/,
    );
    await expect(MethodRun.start(decoder, spatten({ headKeep: [1, 0.5, 1, 1] }))).rejects.toThrow(/headKeep\[2\]/);
  });
});

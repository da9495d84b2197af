import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ArgumentError,
  type AttentionPlanOverride,
  attention,
  attentionByKeySet,
  type CombineKeySetsOptions,
  combineKeySets,
  type Gpu,
  keySets,
  readLogSumExp,
  ShapeError,
  type Tensor,
} from '../src/index.ts';
import {
  type AttentionReferenceInput,
  assertClose,
  attentionReference,
  countKeyRows,
  type HostMask,
  modestGpu,
  randomArray,
  randomIntegers,
  sharedGpu,
} from '../src/testing/index.ts';
import { deviceMask } from './attention-case.ts';

interface SetCase
  extends Pick<AttentionReferenceInput, 'batches' | 'heads' | 'kvHeads' | 'queries' | 'keys' | 'headSize'>,
    Pick<AttentionReferenceInput, 'causal' | 'slidingWindow' | 'mask'> {
  readonly count: number;
  readonly perHead?: boolean;
  readonly keyLengths?: readonly number[];
  readonly plan?: AttentionPlanOverride;
}

const base: SetCase = { batches: 2, heads: 4, kvHeads: 2, queries: 7, keys: 50, headSize: 32, count: 4, causal: true };

/** Inputs; ids reach one past the sets, so that some keys belong to none. */
function inputs({ batches, heads, kvHeads, queries, keys, headSize, count, perHead }: SetCase) {
  return {
    q: randomArray(batches * heads * queries * headSize, 1, { scale: 2 }),
    k: randomArray(batches * kvHeads * keys * headSize, 2, { scale: 2 }),
    v: randomArray(batches * kvHeads * keys * headSize, 3),
    ids: randomIntegers(batches * (perHead ? kvHeads : 1) * keys, 4, count + 1),
  };
}

function expectedSets(run: SetCase) {
  const { q, k, v, ids } = inputs(run);
  const { heads, kvHeads, keys, count, perHead, keyLengths, mask } = run;
  return Array.from({ length: count }, (_, set) => {
    const inSet: HostMask = {
      kind: 'custom',
      wgsl: () => '',
      reference: ({ batch, head, keyPosition }) => {
        const row = perHead ? batch * kvHeads + Math.floor((head * kvHeads) / heads) : batch;
        return ids[row * keys + keyPosition] === set;
      },
    };
    return attentionReference({
      ...run,
      ...{ q, k, v },
      ...(keyLengths ? { keyLength: keyLengths } : {}),
      mask: mask ? { kind: 'allOf', parts: [mask, inSet] } : inSet,
    });
  });
}

function record(gpu: Gpu, run: SetCase, keyRowCounter?: Tensor) {
  const { batches, heads, kvHeads, queries, keys, headSize, count, perHead, keyLengths, mask } = run;
  const { q, k, v, ids } = inputs(run);
  return attentionByKeySet(
    gpu.tensor(q, [batches, heads, queries, headSize]),
    gpu.tensor(k, [batches, kvHeads, keys, headSize]),
    gpu.tensor(v, [batches, kvHeads, keys, headSize]),
    {
      keySets: keySets(gpu.tensor(ids, perHead ? [batches, kvHeads, keys] : [batches, keys], 'u32'), count),
      ...(run.causal ? { causal: true } : {}),
      ...(run.slidingWindow ? { slidingWindow: run.slidingWindow } : {}),
      ...(mask ? { mask: deviceMask(gpu, mask, run) } : {}),
      ...(keyLengths ? { keyLength: gpu.tensor(keyLengths, [batches], 'u32') } : {}),
      ...(run.plan ? { plan: run.plan } : {}),
      ...(keyRowCounter ? { keyRowCounter } : {}),
    },
  );
}

async function check(gpu: Gpu, run: SetCase): Promise<void> {
  const expected = expectedSets(run);
  const { readbacks } = gpu.stats();
  const { outputs, logSumExps } = gpu.tidy(() => record(gpu, run));
  expect(gpu.stats().readbacks).toBe(readbacks);
  expect(outputs.shape).toEqual([run.count, run.batches, run.heads, run.queries, run.headSize]);
  const join = (pick: (set: (typeof expected)[number]) => Float64Array) =>
    expected.flatMap((set) => Array.from(pick(set)));
  assertClose(
    await outputs.read(),
    join(({ output }) => output),
    { absolute: 1e-5, relative: 1e-4, name: 'outputs' },
  );
  assertClose(
    await readLogSumExp(logSumExps),
    join(({ logSumExp }) => logSumExp),
    {
      absolute: 2e-5,
      relative: 1e-5,
      name: 'log-sum-exps',
    },
  );
  outputs.dispose();
  logSumExps.dispose();
}

const rows = { layout: 'rows', access: 'staged' } as const;
const staged = { layout: 'features', access: 'staged', sharedRows: 3 } as const;
const tokens: HostMask = {
  kind: 'tokens',
  list: { indices: [3, 30, 1, 9, 17, 44, 2, 25, 40, 41, 42, 43], per: 'kvHead' },
};

describe('attentionByKeySet', () => {
  const cases: Readonly<Record<string, SetCase>> = {
    causal: base,
    'one set': { ...base, count: 1 },
    'eight sets': { ...base, count: 8 },
    'one token': { ...base, queries: 1 },
    'sets of each head': { ...base, perHead: true },
    'a window': { ...base, slidingWindow: 20 },
    'a mask': {
      ...base,
      mask: {
        kind: 'anyOf',
        parts: [
          { kind: 'prefix', length: 5 },
          { kind: 'strided', stride: 3 },
        ],
      },
    },
    'a token list': { ...base, mask: tokens },
    'lengths on the device, one of them 0': { ...base, keyLengths: [0, 29] },
    'in rows': { ...base, plan: rows },
    staged: { ...base, plan: staged },
  };
  for (const [name, run] of Object.entries(cases)) {
    it(name, async () => check(await sharedGpu(), run));
  }
  it('on WebGPU’s defaults', async () => check(await modestGpu(), { ...base, perHead: true, keyLengths: [50, 29] }));

  it('loads every key once, and only the keys of sets that a query sees', async () => {
    const gpu = await sharedGpu();
    const run: SetCase = { ...base, queries: 1, keyLengths: [50, 29] };
    const { ids } = inputs(run);
    const seen = Array.from(ids).filter((id, at) => id < run.count && at % 50 < (at < 50 ? 50 : 29)).length;
    const counted = await countKeyRows(gpu, (counter) => void record(gpu, run, counter));
    expect(counted).toBe(seen * run.kvHeads);
  });

  it('refuses what does not fit', async () => {
    const gpu = await sharedGpu();
    gpu.tidy(() => {
      const [q, k] = [gpu.zeros([1, 2, 1, 16]), gpu.zeros([1, 2, 8, 16])];
      const sets = keySets(gpu.zeros([1, 8], 'u32'), 2);
      expect(() => keySets(gpu.zeros([1, 8], 'u32'), 9)).toThrow(ArgumentError);
      expect(() => keySets(gpu.zeros([1, 8]), 2)).toThrow(ShapeError);
      expect(() => attentionByKeySet(q, k, k, { keySets: keySets(gpu.zeros([1, 9], 'u32'), 2) })).toThrow(ShapeError);
      const sinks = { kind: 'sinks', logits: gpu.zeros([2]) } as const;
      expect(() => attentionByKeySet(q, k, k, { keySets: sets, scoreModifiers: [sinks] })).toThrow(/sinks/);
      const partials = attentionByKeySet(q, k, k, { keySets: sets });
      expect(() => combineKeySets({ ...partials, logSumExps: gpu.zeros([2, 1, 2, 2]) })).toThrow(ShapeError);
      expect(() => combineKeySets(partials, { weights: gpu.zeros([3, 1, 1, 1]) })).toThrow(ShapeError);
      expect(() => combineKeySets(partials, { weights: ({ number }) => number('none') })).toThrow(/none/);
    });
  });
});

describe('combineKeySets', () => {
  /** Masses [S][row] and outputs by definition, mixed with weights. */
  function mixed(
    run: SetCase,
    weight: (set: number, masses: readonly number[], row: number) => number,
    renormalise = false,
  ) {
    const sets = expectedSets(run);
    const { headSize } = run;
    const output = new Float64Array(sets[0]!.output.length);
    const rows = sets[0]!.logSumExp.length;
    for (let row = 0; row < rows; row++) {
      const total = sets.reduce((sum, { logSumExp }) => sum + Math.exp(logSumExp[row] as number), 0);
      const masses = sets.map(({ logSumExp }) => (total > 0 ? Math.exp(logSumExp[row] as number) / total : 0));
      const weights = masses.map((_, set) => weight(set, masses, row));
      const whole = weights.reduce((sum, value) => sum + value, 0);
      const divisor = renormalise ? whole : 1;
      if (renormalise && whole <= 0) continue;
      for (let d = 0; d < headSize; d++) {
        sets.forEach((set, index) => {
          output[row * headSize + d]! +=
            ((weights[index] as number) / divisor) * (set.output[row * headSize + d] as number);
        });
      }
    }
    return output;
  }

  async function combined(gpu: Gpu, run: SetCase, options: (device: Gpu) => CombineKeySetsOptions) {
    const output = gpu.tidy(() => combineKeySets(record(gpu, run), options(gpu)).output);
    const data = await output.read();
    output.dispose();
    return data;
  }
  const tolerance = { absolute: 1e-5, relative: 1e-4 };

  it('by the masses is attention over the union, and gives masses and log-sum-exp', async () => {
    const gpu = await sharedGpu();
    const run = { ...base, keyLengths: [0, 29] };
    const { output, masses, logSumExp } = gpu.tidy(() => combineKeySets(record(gpu, run)));
    const { q, k, v, ids } = inputs(run);
    const union: HostMask = {
      kind: 'custom',
      wgsl: () => '',
      reference: ({ batch, keyPosition }) => (ids[batch * 50 + keyPosition] as number) < run.count,
    };
    const expected = attentionReference({ ...run, q, k, v, keyLength: run.keyLengths, mask: union });
    assertClose(await output.read(), expected.output, tolerance);
    assertClose(await readLogSumExp(logSumExp), expected.logSumExp, { absolute: 2e-5, relative: 1e-5 });
    const sets = expectedSets(run);
    const shares = sets.flatMap((set) =>
      Array.from(set.logSumExp, (lse, row) =>
        Number.isFinite(lse) ? Math.exp(lse - (expected.logSumExp[row] as number)) : 0,
      ),
    );
    assertClose(await masses.read(), shares, { absolute: 1e-5, relative: 1e-4 });
    for (const tensor of [output, masses, logSumExp]) tensor.dispose();
  });

  for (const device of ['sharedGpu', 'modestGpu'] as const) {
    it(`by weights that the GPU computes from the masses, ${device}`, async () => {
      const gpu = await (device === 'sharedGpu' ? sharedGpu() : modestGpu());
      const actual = await combined(gpu, base, (owner) => ({
        renormalise: true,
        numbers: { factor: 0.25 },
        inputs: { trust: owner.tensor([1, 0.5, 2, 1]) },
        weights: ({ set, mass, head, number, input }) =>
          set === 0 ? `${number('factor')} * ${mass(0)}` : `${input('trust', head)} * sqrt(${mass(set)} * ${mass(1)})`,
      }));
      const trust = [1, 0.5, 2, 1];
      const expected = mixed(
        base,
        (set, masses, row) =>
          set === 0
            ? 0.25 * (masses[0] as number)
            : (trust[Math.floor(row / 7) % 4] as number) * Math.sqrt((masses[set] as number) * (masses[1] as number)),
        true,
      );
      assertClose(actual, expected, tolerance);
    });
  }

  it('by a tensor of weights, whole or broadcast', async () => {
    const gpu = await sharedGpu();
    const whole = randomArray(4 * 2 * 4 * 7, 9);
    assertClose(
      await combined(gpu, base, (owner) => ({ weights: owner.tensor(whole, [4, 2, 4, 7]) })),
      mixed(base, (set, _, row) => whole[set * 56 + row] as number),
      tolerance,
    );
    const perSet = [0.5, 0, -1, 2];
    assertClose(
      await combined(gpu, base, (owner) => ({ weights: owner.tensor(perSet, [4, 1, 1, 1]) })),
      mixed(base, (set) => perSet[set] as number),
      tolerance,
    );
  });

  it('agrees with f64 for any sets', async () => {
    const gpu = await sharedGpu();
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 1, max: 9 }),
        fc.boolean(),
        async (count, queries, perHead) => {
          const run = { ...base, count, queries, perHead };
          const actual = await combined(gpu, run, () => ({
            weights: ({ mass, set }) => `${mass(set)} * ${mass(set)}`,
          }));
          assertClose(
            actual,
            mixed(run, (set, masses) => (masses[set] as number) ** 2),
            tolerance,
          );
        },
      ),
      { numRuns: 4, seed: 2 },
    );
  });
});

describe('given probabilities', () => {
  for (const device of ['sharedGpu', 'modestGpu'] as const) {
    it(`replace chosen rows and no others, ${device}`, async () => {
      const gpu = await (device === 'sharedGpu' ? sharedGpu() : modestGpu());
      const run = { ...base, keyLengths: [50, 29] };
      const { q, k, v } = inputs(run);
      const chosen = [
        [0, 3, 2],
        [1, 0, 6],
        [1, 2, 0],
        [0, 0, 0],
      ];
      const probabilities = randomArray(4 * 50, 12);
      const output = gpu.tidy(
        () =>
          attention(gpu.tensor(q, [2, 4, 7, 32]), gpu.tensor(k, [2, 2, 50, 32]), gpu.tensor(v, [2, 2, 50, 32]), {
            causal: true,
            keyLength: gpu.tensor(run.keyLengths, [2], 'u32'),
            givenProbabilities: {
              rows: gpu.tensor(chosen.flat(), [4, 3], 'u32'),
              probabilities: gpu.tensor(probabilities, [4, 50]),
              count: gpu.tensor([3], [1], 'u32'),
            },
          }).output,
      );
      const expected = attentionReference({ ...run, q, k, v, keyLength: run.keyLengths }).output;
      chosen.slice(0, 3).forEach(([batch, head, query], at) => {
        const kvHead = (batch as number) * 2 + Math.floor((head as number) / 2);
        for (let d = 0; d < 32; d++) {
          let total = 0;
          for (let key = 0; key < (run.keyLengths[batch as number] as number); key++) {
            total += (probabilities[at * 50 + key] as number) * (v[(kvHead * 50 + key) * 32 + d] as number);
          }
          expected[(((batch as number) * 4 + (head as number)) * 7 + (query as number)) * 32 + d] = total;
        }
      });
      assertClose(await output.read(), expected, { absolute: 1e-5, relative: 1e-4 });
      output.dispose();
    });
  }

  it('refuse what does not fit', async () => {
    const gpu = await sharedGpu();
    gpu.tidy(() => {
      const [q, k] = [gpu.zeros([1, 2, 1, 16]), gpu.zeros([1, 2, 8, 16])];
      const rows = gpu.zeros([1, 3], 'u32');
      const run = (probabilities: Tensor) => () => attention(q, k, k, { givenProbabilities: { rows, probabilities } });
      expect(run(gpu.zeros([1, 7]))).toThrow(ShapeError);
      expect(run(gpu.zeros([1, 8], 'u32'))).toThrow(ArgumentError);
    });
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ArgumentError,
  type AttentionOptions,
  alibiSlopes,
  attention,
  readLogSumExp,
  ShapeError,
  type Tensor,
} from '../src/index.ts';
import {
  assertClose,
  attentionReference,
  hardwareKernelsGpu,
  modestGpu,
  proveSteady,
  randomArray,
  sharedGpu,
} from '../src/testing/index.ts';
import { type AttentionCase, checkCase } from './attention-case.ts';

const base: AttentionCase = { batches: 2, heads: 4, kvHeads: 2, queries: 9, keys: 40, headSize: 32, causal: true };
const rows = { layout: 'rows', access: 'staged' } as const;
const staged = { layout: 'features', access: 'staged', sharedRows: 3 } as const;
const split = { layout: 'features', parts: 3 } as const;

const bias = { kind: 'bias', bias: randomArray(2 * 4 * 9 * 40, 21, { scale: 2 }) } as const;
const softCap = { kind: 'softCap', cap: 1.5 } as const;
const alibi = { kind: 'alibi', slopes: alibiSlopes(4) } as const;
const relative = { kind: 'relativePosition', table: randomArray(4 * 17, 22, { scale: 2 }) } as const;
const sinks = { kind: 'sinks', logits: [0.5, -2, 3, 0] } as const;
const custom = {
  kind: 'custom',
  numbers: { strength: 0.3 },
  inputs: { offsets: [1, -1, 0.5, 2] },
  wgsl: ({ score, head, queryPosition, keyPosition, number, input }) =>
    `${score} * ${number('strength')} + ${input('offsets', head)} * f32((${queryPosition} + ${keyPosition}) % 3)`,
  reference: (score, { head, queryPosition, keyPosition }) =>
    score * 0.3 + ([1, -1, 0.5, 2][head] as number) * ((queryPosition + keyPosition) % 3),
} satisfies NonNullable<AttentionCase['scoreModifiers']>[number];

describe('score modifiers', () => {
  const lists: Readonly<Record<string, AttentionCase['scoreModifiers'] & object>> = {
    bias: [bias],
    softCap: [softCap],
    alibi: [alibi],
    'relative positions': [relative],
    sinks: [sinks],
    custom: [custom],
    'all in one order': [alibi, softCap, bias, sinks, relative, custom],
    'all in another': [custom, relative, bias, softCap, alibi, sinks],
  };
  for (const [name, scoreModifiers] of Object.entries(lists)) {
    it(name, async () => checkCase(await sharedGpu(), { ...base, scoreModifiers, plan: { sharedRows: 2 } }));
  }

  const all = lists['all in one order'] as NonNullable<AttentionCase['scoreModifiers']>;
  it('in rows', async () => checkCase(await sharedGpu(), { ...base, scoreModifiers: all, plan: rows }));
  it('staged', async () => checkCase(await sharedGpu(), { ...base, scoreModifiers: all, plan: staged }));
  it('on WebGPU’s defaults', async () => checkCase(await modestGpu(), { ...base, scoreModifiers: all }));
  it('in the kernels of hardware adapters', async () => {
    // One row per workgroup: a software adapter compiles their unrolled text for a minute otherwise.
    const plan = { layout: 'features', access: 'staged', sharedRows: 1 } as const;
    const scoreModifiers = [alibi, softCap, sinks];
    await checkCase(await hardwareKernelsGpu(), { ...base, queries: 2, headSize: 16, scoreModifiers, plan });
  });
  it('with keys and values in f16', async () => {
    const gpu = await sharedGpu();
    if (gpu.capabilities.f16) await checkCase(gpu, { ...base, scoreModifiers: all, dtype: 'f16' });
  });
  it('split over the keys: the sink counts once', async () => {
    await checkCase(await sharedGpu(), { ...base, queries: 1, scoreModifiers: [sinks, softCap], plan: split });
  });
  it('sinks of rows that see nothing', async () => {
    const ragged = { keyLengths: [0, 33], queryLengths: [9, 4] };
    await checkCase(await sharedGpu(), { ...base, ...ragged, scoreModifiers: [sinks, alibi] });
  });

  it('a bias that is a broadcast, strided view', async () => {
    const gpu = await sharedGpu();
    const sizes = { batches: 2, heads: 4, kvHeads: 2, queries: 3, keys: 10, headSize: 16 };
    const [q, k, v] = [
      randomArray(2 * 4 * 3 * 16, 1),
      randomArray(2 * 2 * 10 * 16, 2),
      randomArray(2 * 2 * 10 * 16, 3),
    ];
    const table = randomArray(3 * 4 * 12, 4);
    const at = (head: number, query: number, key: number) => table[(query * 4 + head) * 12 + key + 1] as number;
    const whole = Array.from({ length: 2 * 4 * 3 * 10 }, (_, index) => {
      const [key, query, head] = [index % 10, Math.floor(index / 10) % 3, Math.floor(index / 30) % 4];
      return at(head, query, key);
    });
    const output = gpu.tidy(() => {
      // [N, H, P] as [1, H, N, P] from the second position on.
      const view = gpu.tensor(table, [3, 4, 12]).transpose(1, 0, 2).slice(2, 1, 11);
      return attention(gpu.tensor(q, [2, 4, 3, 16]), gpu.tensor(k, [2, 2, 10, 16]), gpu.tensor(v, [2, 2, 10, 16]), {
        scoreModifiers: [{ kind: 'bias', bias: view }],
      }).output;
    });
    const expected = attentionReference({ ...sizes, q, k, v, scoreModifiers: [{ kind: 'bias', bias: whole }] });
    assertClose(await output.read(), expected.output, { absolute: 1e-5, relative: 1e-4 });
    output.dispose();
  });

  it('soft-cap of huge scores is the cap', async () => {
    const gpu = await sharedGpu();
    const maximum = gpu.tidy(() => {
      const one = gpu.tensor([1e6], [1, 1, 1, 1]);
      const options = { scoreModifiers: [{ kind: 'softCap', cap: 30 }], returnRowMaximum: true } as const;
      return attention(one, one, one, options).rowMaximum as Tensor;
    });
    expect(Array.from(await maximum.read())).toEqual([30]);
    maximum.dispose();
  });

  it('knows the published slopes', () => {
    expect(alibiSlopes(8)).toEqual([1, 2, 3, 4, 5, 6, 7, 8].map((head) => 2 ** -head));
    assertClose(alibiSlopes(6), [0.25, 0.0625, 0.015625, 0.00390625, 0.5, 0.125], { absolute: 1e-12 });
  });

  it('refuse what does not fit', async () => {
    const gpu = await sharedGpu();
    gpu.tidy(() => {
      const [q, k] = [gpu.zeros([1, 2, 4, 16]), gpu.zeros([1, 2, 20, 16])];
      const run =
        (...scoreModifiers: AttentionOptions['scoreModifiers'] & object) =>
        () =>
          attention(q, k, k, { scoreModifiers });
      expect(run({ kind: 'softCap', cap: 0 })).toThrow(ArgumentError);
      expect(run({ kind: 'alibi', slopes: gpu.zeros([3]) })).toThrow(ShapeError);
      expect(run({ kind: 'relativePosition', table: gpu.zeros([2, 4]) })).toThrow(/odd/);
      const logits = gpu.zeros([2]);
      expect(run({ kind: 'sinks', logits }, { kind: 'sinks', logits })).toThrow(/two/);
      expect(run({ kind: 'bias', bias: gpu.zeros([3, 20]) })).toThrow(ShapeError);
      expect(run({ kind: 'custom', wgsl: ({ input }) => input('table', '0u') })).toThrow(/table/);
      expect(() => attention(q, k, k, { normalizer: gpu.zeros([1, 2, 3]) })).toThrow(ShapeError);
      const factors = gpu.zeros([19]);
      expect(() => attention(q, k, k, { keyMultipliers: { factors, renormalise: true } })).toThrow(ShapeError);
    });
  });
});

describe('trust in keys', () => {
  const factors = randomArray(2 * 4 * 40, 31).map(Math.abs);
  const signed = randomArray(2 * 4 * 40, 32);
  const normalizer = randomArray(2 * 4 * 9, 33, { scale: 2 });
  normalizer[5] = Number.NEGATIVE_INFINITY;

  const before = { factors, renormalise: true };
  const after = { factors: signed, renormalise: false };
  const cases: Readonly<Record<string, Partial<AttentionCase>>> = {
    'multiplies before the normalisation': { keyMultipliers: before, scoreModifiers: [sinks] },
    'multiplies after it': { keyMultipliers: after },
    'normalises by what is given': { normalizer },
    'multiplies before it, in rows': { keyMultipliers: before, scoreModifiers: [sinks], plan: rows },
    'multiplies after what is given, staged': { keyMultipliers: after, normalizer, plan: staged },
    'multiplies after what is given, split': { keyMultipliers: after, normalizer, plan: split },
    'multiplies before it, split': { keyMultipliers: before, scoreModifiers: [sinks], plan: split },
  };
  for (const [name, run] of Object.entries(cases)) {
    it(name, async () => checkCase(await sharedGpu(), { ...base, ...run }));
  }

  it('composes with masks, lists and modifiers, on both devices', async () => {
    const mask = {
      kind: 'anyOf',
      parts: [
        { kind: 'tokens', list: { indices: [3, 30, 1, 9, 17, 4, 2, 25], per: 'kvHead' } },
        { kind: 'slidingWindow', before: 5, after: 0 },
      ],
    } as const;
    const run = { ...base, mask, normalizer, keyMultipliers: { factors, renormalise: true } };
    for (const gpu of [await sharedGpu(), await modestGpu()]) {
      await checkCase(gpu, { ...run, scoreModifiers: [alibi, softCap, sinks], keyLengths: [40, 21] });
    }
  });

  it('agrees with f64 for any combination', async () => {
    const gpu = await sharedGpu();
    await fc.assert(
      fc.asyncProperty(
        fc.subarray([bias, softCap, alibi, relative, sinks, custom]),
        fc.constantFrom('none', 'before', 'after'),
        fc.boolean(),
        fc.constantFrom<AttentionCase['mask']>(undefined, { kind: 'strided', stride: 3 }),
        async (scoreModifiers, multiplied, normalised, mask) =>
          checkCase(gpu, {
            ...base,
            scoreModifiers,
            ...(multiplied === 'none' ? {} : { keyMultipliers: { factors, renormalise: multiplied === 'before' } }),
            ...(normalised ? { normalizer } : {}),
            ...(mask ? { mask } : {}),
          }),
      ),
      { numRuns: 5, seed: 3 },
    );
  });

  it('normalised by the whole’s log-sum-exp, halves add up to the whole', async () => {
    const gpu = await sharedGpu();
    const [q, k, v] = [randomArray(4 * 3 * 16, 1), randomArray(2 * 30 * 16, 2), randomArray(2 * 30 * 16, 3)];
    const [whole, halves] = gpu.tidy(() => {
      const query = gpu.tensor(q, [1, 4, 3, 16]);
      const [key, value] = [gpu.tensor(k, [1, 2, 30, 16]), gpu.tensor(v, [1, 2, 30, 16])];
      const all = attention(query, key, value, { returnLogSumExp: true });
      const part = (start: number, end: number) =>
        attention(query, key.slice(2, start, end), value.slice(2, start, end), {
          normalizer: all.logSumExp as Tensor,
          returnLogSumExp: true,
        });
      const first = part(0, 13);
      return [all.output, [first.output, part(13, 30).output, first.logSumExp as Tensor]] as const;
    });
    const [first, second] = [await halves[0]!.read(), await halves[1]!.read()];
    assertClose(
      Float32Array.from(first, (value, index) => value + (second[index] as number)),
      await whole.read(),
      { absolute: 1e-5, relative: 1e-4 },
    );
    const own = attentionReference({
      ...{ batches: 1, heads: 4, kvHeads: 2, queries: 3, keys: 30, headSize: 16, q, k, v, keyLength: 13 },
    });
    assertClose(await readLogSumExp(halves[2]!), own.logSumExp, { absolute: 1e-5, relative: 1e-5 });
    for (const tensor of [whole, ...halves]) tensor.dispose();
  });
});

describe('a decode loop with every kind of part', () => {
  it.each(['sharedGpu', 'modestGpu'] as const)('creates nothing and reads nothing back, %s', async (device) => {
    const gpu = await (device === 'sharedGpu' ? sharedGpu() : modestGpu());
    const kept = [
      gpu.tensor(randomArray(4 * 16, 1), [1, 4, 1, 16]),
      gpu.tensor(randomArray(2 * 64 * 16, 2), [1, 2, 64, 16]),
      gpu.tensor([3, 30, 1, 9], [1, 2, 2], 'u32'),
      gpu.tensor([40], [1], 'u32'),
      gpu.tensor(randomArray(4, 3)),
      gpu.tensor(randomArray(64, 4)),
      gpu.zeros([1, 1], 'u32'),
      gpu.zeros([1, 64], 'u32'),
    ] as const;
    const [q, k, indices, keyLength, perHead, factors, turn, turns] = kept;
    const options: AttentionOptions = {
      keyLength,
      mask: {
        kind: 'anyOf',
        parts: [
          { kind: 'tokens', list: { indices, per: 'kvHead' } },
          { kind: 'tokenRelation', relation: 'same', queries: turn, keys: turns },
        ],
      },
      scoreModifiers: [
        { kind: 'alibi', slopes: perHead },
        { kind: 'sinks', logits: perHead },
      ],
      keyMultipliers: { factors, renormalise: true },
    };
    const step = () => gpu.tidy(() => void attention(q, k, k, options));
    expect(await proveSteady(gpu, step, { steps: 100 })).toBe(100);
    for (const tensor of kept) tensor.dispose();
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ArgumentError,
  type AttentionOptions,
  attention,
  type Gpu,
  readLogSumExp,
  ShapeError,
  type Tensor,
} from '../src/index.ts';
import {
  assertClose,
  attentionReference,
  countKeyRows,
  modestGpu,
  randomArray,
  randomIntegers,
  sharedGpu,
} from '../src/testing/index.ts';

/** A cache after eviction: each key/value head keeps rows of its own number and positions. */
interface Evicted {
  readonly batches: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly queries: number;
  readonly keys: number;
  readonly headSize: number;
  /** [B, Hkv] */
  readonly lengths: readonly number[];
  readonly ragged: boolean;
  readonly causal?: boolean;
  readonly slidingWindow?: number;
  readonly positions?: boolean;
  /** Position of the first query of each batch entry. */
  readonly offsets?: readonly number[];
  readonly plan?: AttentionOptions['plan'];
  /** Rows that each (batch, kv head) may attend to. */
  readonly tokens?: readonly (readonly number[])[];
}

const base: Evicted = {
  batches: 2,
  heads: 6,
  kvHeads: 2,
  queries: 3,
  keys: 50,
  headSize: 32,
  lengths: [50, 7, 0, 33],
  ragged: false,
};

/** Inputs of one case on the host; rows that hold no key are NaN. */
function hostInputs(run: Evicted) {
  const { batches, heads, kvHeads, queries, keys, headSize, lengths, ragged } = run;
  const starts: number[] = [];
  let rows = ragged ? 3 : 0;
  for (const length of lengths) {
    starts.push(rows);
    rows += ragged ? length + 2 : keys;
  }
  const fill = (seed: number) => {
    const data = randomArray(rows * headSize, seed, { scale: 2 });
    const held = new Uint8Array(rows);
    for (const [head, length] of lengths.entries()) held.fill(1, starts[head], (starts[head] as number) + length);
    held.forEach((kept, row) => {
      if (!kept) data.fill(Number.NaN, row * headSize, (row + 1) * headSize);
    });
    return data;
  };
  // Descending with gaps: neither ascending nor dense.
  const keyPositions = Array.from({ length: rows }, (_, row) => (7 * (rows - row)) % 90);
  return {
    q: randomArray(batches * heads * queries * headSize, 1, { scale: 2 }),
    k: fill(2),
    v: fill(3),
    rows,
    starts: starts.slice(0, batches * kvHeads),
    keyPositions,
  };
}

function optionsOf(gpu: Gpu, run: Evicted, inputs: ReturnType<typeof hostInputs>): AttentionOptions {
  const { batches, kvHeads, keys, ragged, positions, offsets, tokens } = run;
  return {
    keyLength: gpu.tensor(run.lengths, [batches, kvHeads], 'u32'),
    ...(run.causal ? { causal: true } : {}),
    ...(run.slidingWindow ? { slidingWindow: run.slidingWindow } : {}),
    ...(run.plan ? { plan: run.plan } : {}),
    ...(offsets ? { queryOffset: gpu.tensor(offsets, [batches], 'u32') } : {}),
    ...(ragged
      ? { keyStarts: gpu.tensor(inputs.starts, [batches, kvHeads], 'u32'), keyBound: Math.max(...run.lengths) }
      : {}),
    ...(positions
      ? { keyPositions: gpu.tensor(inputs.keyPositions, ragged ? [inputs.rows] : [batches, kvHeads, keys], 'u32') }
      : {}),
    ...(tokens
      ? {
          tokens: {
            indices: gpu.tensor(tokens.flat(), [batches, kvHeads, tokens[0]?.length ?? 0], 'u32'),
            per: 'kvHead' as const,
          },
        }
      : {}),
  };
}

async function check(gpu: Gpu, run: Evicted): Promise<void> {
  const { batches, heads, kvHeads, queries, keys, headSize, ragged, tokens } = run;
  const inputs = hostInputs(run);
  const expected = attentionReference({
    ...run,
    ...inputs,
    keyLength: run.lengths,
    ...(run.offsets ? { queryOffset: run.offsets } : {}),
    ...(ragged ? { keyStarts: inputs.starts } : {}),
    keyPositions: run.positions ? inputs.keyPositions : undefined,
    tokens: tokens
      ? (batch: number, head: number) => tokens[batch * kvHeads + Math.floor((head * kvHeads) / heads)] as number[]
      : undefined,
  } as Parameters<typeof attentionReference>[0]);
  const { readbacks } = gpu.stats();
  const [output, logSumExp] = gpu.tidy(() => {
    const shape = ragged ? [inputs.rows, headSize] : [batches, kvHeads, keys, headSize];
    const result = attention(
      gpu.tensor(inputs.q, [batches, heads, queries, headSize]),
      gpu.tensor(inputs.k, shape),
      gpu.tensor(inputs.v, shape),
      { ...optionsOf(gpu, run, inputs), returnLogSumExp: true },
    );
    return [result.output, result.logSumExp as Tensor] as const;
  });
  expect(gpu.stats().readbacks).toBe(readbacks);
  assertClose(await output.read(), expected.output, { absolute: 1e-5, relative: 1e-4, name: 'output' });
  assertClose(await readLogSumExp(logSumExp), expected.logSumExp, { absolute: 2e-5, relative: 1e-5, name: 'lse' });
  output.dispose();
  logSumExp.dispose();
}

const rowsPlan = { layout: 'rows', access: 'staged' } as const;
const stagedPlan = { layout: 'features', access: 'staged', sharedRows: 3 } as const;
const runs: (Evicted & { readonly name: string })[] = [false, true].flatMap((ragged) => {
  const kind = ragged ? 'ragged storage' : 'lengths per head';
  return [
    { ...base, ragged, name: kind },
    { ...base, ragged, name: `${kind}, causal`, causal: true },
    { ...base, ragged, name: `${kind}, one token`, queries: 1, causal: true },
    {
      ...base,
      ragged,
      name: `${kind}, positions`,
      positions: true,
      causal: true,
      slidingWindow: 60,
      offsets: [70, 41],
    },
    {
      ...base,
      ragged,
      name: `${kind}, positions, in rows`,
      positions: true,
      causal: true,
      offsets: [55, 3],
      plan: rowsPlan,
    },
    {
      ...base,
      ragged,
      name: `${kind}, positions, staged`,
      positions: true,
      causal: true,
      offsets: [55, 3],
      plan: stagedPlan,
    },
    {
      ...base,
      ragged,
      name: `${kind}, positions and token lists`,
      positions: true,
      causal: true,
      slidingWindow: 60,
      offsets: [70, 41],
      tokens: [
        [0, 9, 49],
        [6, 8, 3],
        [0, 1, 2],
        [32, 31, 5],
      ],
    },
    {
      ...base,
      ragged,
      name: `${kind}, split`,
      keys: 300,
      lengths: [300, 11, 160, 1],
      plan: { layout: 'features' as const, parts: 3 },
    },
  ];
});

describe('attention over storage after eviction', () => {
  for (const run of runs) {
    it(run.name, async () => check(await sharedGpu(), run));
    if (run.name.includes('lists') || run.name.endsWith('positions')) {
      // These need more than the four inputs that WebGPU's default leaves: some are packed.
      it(`${run.name} on WebGPU’s defaults`, async () => check(await modestGpu(), run));
    }
  }

  it('agrees with f64 for any lengths and positions', async () => {
    const gpu = await sharedGpu();
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 50 }), { minLength: 4, maxLength: 4 }),
        fc.boolean(),
        fc.array(fc.integer({ min: 0, max: 90 }), { minLength: 2, maxLength: 2 }),
        async (lengths, ragged, offsets) =>
          check(gpu, { ...base, lengths, ragged, positions: true, causal: true, slidingWindow: 60, offsets }),
      ),
      { numRuns: 5, seed: 11 },
    );
  });

  it('equals contiguous storage where all heads have all rows in order', async () => {
    const gpu = await sharedGpu();
    const [q, k, v] = [randomArray(6 * 5 * 32, 1), randomArray(2 * 20 * 32, 2), randomArray(2 * 20 * 32, 3)];
    const [plain, ragged] = gpu.tidy(() => {
      const query = gpu.tensor(q, [1, 6, 5, 32]);
      const rows = (data: Float32Array) => gpu.tensor(data, [40, 32]);
      const heads = (data: Float32Array) => gpu.tensor(data, [1, 2, 20, 32]);
      const options = {
        keyStarts: gpu.tensor([0, 20], [1, 2], 'u32'),
        keyLength: gpu.tensor([20, 20], [1, 2], 'u32'),
        keyPositions: gpu.tensor(
          Array.from({ length: 40 }, (_, row) => row % 20),
          [40],
          'u32',
        ),
        causal: true,
        queryOffset: 15,
      };
      return [
        attention(query, heads(k), heads(v), { causal: true }).output,
        attention(query, rows(k), rows(v), options).output,
      ];
    });
    expect(await ragged.read()).toEqual(await plain.read());
    plain.dispose();
    ragged.dispose();
  });

  it('loads the rows that heads have and no others', async () => {
    const gpu = await sharedGpu();
    const run = { ...base, ragged: true, queries: 1, lengths: [50, 7, 0, 33] };
    const inputs = hostInputs(run);
    const counted = await countKeyRows(gpu, (keyRowCounter) => {
      const shape = [inputs.rows, 32];
      attention(gpu.tensor(inputs.q, [2, 6, 1, 32]), gpu.tensor(inputs.k, shape), gpu.tensor(inputs.v, shape), {
        ...optionsOf(gpu, run, inputs),
        keyRowCounter,
      });
    });
    expect(counted).toBe(50 + 7 + 33);
  });

  it('refuses what does not fit', async () => {
    const gpu = await sharedGpu();
    gpu.tidy(() => {
      const q = gpu.zeros([1, 2, 1, 16]);
      const k = gpu.zeros([1, 2, 8, 16]);
      const rows = gpu.zeros([16, 16]);
      const lengths = gpu.tensor([8, 8], [1, 2], 'u32');
      const keyStarts = gpu.tensor([0, 8], [1, 2], 'u32');
      const keyPositions = gpu.tensor(randomIntegers(16, 1, 8), [1, 2, 8], 'u32');
      expect(() => attention(q, k, k, { keyPositions, causal: true })).toThrow(/queryOffset/);
      expect(() => attention(q, k, k, { keyPositions: keyStarts })).toThrow(ShapeError);
      expect(() => attention(q, k, k, { keyBound: 4 })).toThrow(ArgumentError);
      expect(() => attention(q, rows, rows, { keyStarts, keyLength: 8 })).toThrow(/u32 \[B, Hkv\]/);
      expect(() => attention(q, k, k, { keyStarts, keyLength: lengths })).toThrow(ShapeError);
      expect(() => attention(q, k, k, { keyLength: gpu.tensor([8, 8, 8], [1, 3], 'u32') })).toThrow(ShapeError);
      expect(() => attention(q, rows, rows, { keyStarts, keyLength: lengths, keyBound: 17 })).toThrow(ArgumentError);
    });
  });
});

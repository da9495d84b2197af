import { describe, expect, it } from 'vitest';
import { ArgumentError, type Gpu, philox, type SampleTokenOptions, ShapeError, sampleToken } from '../src/index.ts';
import { samplingDomain } from '../src/ops/sampling-kernels.ts';
import {
  hardwareKernelsGpu,
  modestGpu,
  randomArray,
  randomIntegers,
  type SampleReferenceOptions,
  sampleTokenReference,
  sharedGpu,
} from '../src/testing/index.ts';

async function sample(gpu: Gpu, logits: Float32Array, batch: number, options: SampleTokenOptions): Promise<number[]> {
  const tokens = gpu.tidy(() => sampleToken(gpu.tensor(logits, [batch, logits.length / batch]), options));
  const found = await tokens.read();
  tokens.dispose();
  return Array.from(found);
}

/** The uniform number that row `row` draws. */
const uniformOf = (seed: number, position: number, row: number) =>
  philox([position, row, 0, samplingDomain], [seed, 0])[0] / 2 ** 32;

/** Logits shaped like a language model's: a few large ones, a long tail. */
function logitsLike(size: number, seed: number): Float32Array {
  return randomArray(size, seed).map((value) => 10 * value ** 5 + 3 * value);
}

/** Compares tokens with the reference on the same uniform numbers; draws within f32 rounding of a boundary do not count. */
async function checkSampling(
  gpu: Gpu,
  logits: Float32Array,
  batch: number,
  options: Omit<SampleReferenceOptions, 'history'>,
  draws: { readonly seed: number; readonly position: number },
): Promise<void> {
  const vocabulary = logits.length / batch;
  const tokens = await sample(gpu, logits, batch, { ...options, ...draws });
  let compared = 0;
  tokens.forEach((token, row) => {
    const uniform = uniformOf(draws.seed, draws.position, row);
    const expected = sampleTokenReference(logits.subarray(row * vocabulary, (row + 1) * vocabulary), uniform, options);
    if (expected.margin < 2e-5) return;
    compared++;
    expect(token, `row ${row}, ${JSON.stringify(options)}`).toBe(expected.token);
  });
  expect(compared).toBeGreaterThanOrEqual(0.8 * batch);
}

const devices: readonly (readonly [string, () => Promise<Gpu>])[] = [
  ['modest device', modestGpu],
  ['kernels of hardware adapters', hardwareKernelsGpu],
];

const filters: readonly Omit<SampleReferenceOptions, 'history'>[] = [
  { temperature: 1 },
  { temperature: 0.3 },
  { temperature: 1, topK: 1 },
  { temperature: 0.8, topK: 50 },
  { temperature: 1, topK: 400 },
  { temperature: 1, topP: 0.9 },
  { temperature: 2, topP: 0.3 },
  { temperature: 1, topP: 1e-6 },
  { temperature: 1, topP: 0.995 },
  { temperature: 1.5, topK: 40, topP: 0.7 },
  { temperature: 1, topK: 100_000, topP: 0.5 },
];

for (const [name, open] of devices) {
  describe(`sampleToken, ${name}`, () => {
    it('greedy is the largest logit', async () => {
      const gpu = await open();
      for (const vocabulary of [1, 2, 63, 64, 65, 1031, 4099, 49_152]) {
        const logits = randomArray(3 * vocabulary, vocabulary);
        const expected = [0, 1, 2].map((row) => {
          const values = logits.subarray(row * vocabulary, (row + 1) * vocabulary);
          return values.indexOf(values.reduce((a, b) => Math.max(a, b)));
        });
        expect(await sample(gpu, logits, 3, {})).toEqual(expected);
      }
    });

    it('greedy takes the lowest of equal logits', async () => {
      const gpu = await open();
      const logits = Float32Array.from(randomIntegers(20_000, 3, 4));
      expect(await sample(gpu, logits, 1, {})).toEqual([logits.indexOf(3)]);
      expect(await sample(gpu, new Float32Array(5000).fill(-7), 1, {})).toEqual([0]);
      expect(await sample(gpu, Float32Array.of(-0, 0, -1), 1, {})).toEqual([0]);
    });

    for (const options of filters) {
      it(`draws what the reference draws: ${JSON.stringify(options)}`, async () => {
        const gpu = await open();
        for (const vocabulary of [1, 2, 65, 1031]) {
          for (const seed of [1, 2]) {
            await checkSampling(gpu, logitsLike(64 * vocabulary, 7 * seed + vocabulary), 64, options, {
              seed,
              position: 3 * seed,
            });
          }
        }
      });
    }

    it('whole vocabularies', async () => {
      const gpu = await open();
      const logits = logitsLike(2 * 49_152, 5).map((value) => 2 * value);
      for (const options of [
        { temperature: 0.7 },
        { temperature: 1, topP: 0.95 },
        { temperature: 1, topK: 50, topP: 0.9 },
      ]) {
        await checkSampling(gpu, logits, 2, options, { seed: 11, position: 4 });
      }
    });

    it('keeps ties at the k-th logit, and of ties at the edge of top-p the lower tokens', async () => {
      const gpu = await open();
      const logits = Float32Array.from({ length: 300 }, (_, token) => [1, 3, 2][token % 3] as number);
      for (const options of [
        { temperature: 1, topK: 5 },
        { temperature: 1, topK: 101 },
        { temperature: 1, topP: 0.313 },
        { temperature: 1, topP: 0.7 },
        { temperature: 1, topK: 150, topP: 0.877 },
      ]) {
        await checkSampling(gpu, repeated(logits, 200), 200, options, { seed: 5, position: 9 });
      }
    });

    it('survives masked and very large logits', async () => {
      const gpu = await open();
      const logits = Float32Array.from({ length: 500 }, (_, token) => (token % 5 === 2 ? 3e4 + (token % 7) : -1e38));
      const banned = Float32Array.from({ length: 500 }, (_, token) => (token === 321 ? -2 : Number.NEGATIVE_INFINITY));
      for (const options of filters) {
        for (const token of await sample(gpu, repeated(logits, 8), 8, { ...options, seed: 1 }))
          expect(token % 5).toBe(2);
        expect(await sample(gpu, banned, 1, options)).toEqual([321]);
      }
    });

    it('penalises each token of the history once', async () => {
      const gpu = await open();
      const logits = logitsLike(16 * 200, 8);
      const length = 12;
      const history = randomIntegers(16 * length, 9, 10).map((value, at) => (at % 5 === 0 ? 0xffffffff : value * 20));
      const lengths = Uint32Array.from({ length: 16 }, (_, row) => row % (length + 1));
      for (const temperature of [0, 1]) {
        const chosen = gpu.tidy(() =>
          sampleToken(gpu.tensor(logits, [16, 200]), {
            temperature,
            repetitionPenalty: 3,
            history: gpu.tensor(history, [16, length], 'u32'),
            historyLength: gpu.tensor(lengths, [16], 'u32'),
            seed: 6,
            position: 1,
          }),
        );
        const tokens = await chosen.read();
        chosen.dispose();
        let compared = 0;
        tokens.forEach((token, row) => {
          const past = Array.from(history.subarray(row * length, row * length + (lengths[row] as number)));
          const expected = sampleTokenReference(logits.subarray(row * 200, row * 200 + 200), uniformOf(6, 1, row), {
            temperature,
            repetitionPenalty: 3,
            history: past,
          });
          if (expected.margin < 2e-5) return;
          compared++;
          expect(token).toBe(expected.token);
        });
        expect(compared).toBeGreaterThan(12);
      }
    });
  });
}

function repeated(row: Float32Array, times: number): Float32Array {
  return Float32Array.from({ length: row.length * times }, (_, at) => row[at % row.length] as number);
}

describe('sampleToken', () => {
  it('frequencies follow the probabilities (chi-square)', async () => {
    const gpu = await sharedGpu();
    const row = Float32Array.from([0, 1, 2, 0.5, -1, 1.5, 0.2, -0.3, 0.9, 2.2]);
    const draws = 20_000;
    for (const [options, keptTokens] of [
      [{ temperature: 1 }, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
      [{ temperature: 0.8, topK: 4 }, [1, 2, 5, 9]],
      // exp(2.2), exp(2), exp(1.5) weigh 20.9 of 32.4; with exp(1), 23.6: over 0.7.
      [{ temperature: 1, topP: 0.7 }, [1, 2, 5, 9]],
    ] as const) {
      const tokens = await sample(gpu, repeated(row, draws), draws, { ...options, seed: 77, position: 5 });
      const weights = keptTokens.map((token) => Math.exp((row[token] as number) / options.temperature));
      const total = weights.reduce((a, b) => a + b);
      let chiSquare = 0;
      keptTokens.forEach((token, at) => {
        const expected = (draws * (weights[at] as number)) / total;
        chiSquare += (tokens.filter((other) => other === token).length - expected) ** 2 / expected;
      });
      expect(tokens.every((token) => (keptTokens as readonly number[]).includes(token))).toBe(true);
      // The 99.99% quantile at 9 degrees of freedom; at 3 it is lower still.
      expect(chiSquare).toBeLessThan(keptTokens.length === 10 ? 33.7 : 21.1);
    }
  });

  it('depends on seed, position and row only', async () => {
    const gpu = await sharedGpu();
    const logits = repeated(randomArray(1000, 1), 8);
    const options = { temperature: 1, topP: 0.9 };
    const first = await sample(gpu, logits, 8, { ...options, seed: 3, position: 1 });
    expect(await sample(gpu, logits, 8, { ...options, seed: 3n, position: 1 })).toEqual(first);
    expect(new Set(first).size).toBeGreaterThan(4);
    expect(await sample(gpu, logits, 8, { ...options, seed: 4, position: 1 })).not.toEqual(first);
    expect(await sample(gpu, logits, 8, { ...options, seed: 3, position: 2 })).not.toEqual(first);
    expect(await sample(gpu, logits, 8, { ...options, seed: 3n + (1n << 32n), position: 1 })).not.toEqual(first);
  });

  it('takes few dispatches, reads nothing back and keeps nothing', async () => {
    const gpu = await sharedGpu();
    const logits = gpu.tensor(randomArray(5000, 1), [1, 5000]);
    const history = gpu.tensor([1, 2, 3], [1, 3], 'u32');
    for (const [options, dispatches] of [
      [{}, 2],
      [{ temperature: 1 }, 3],
      [{ temperature: 1, topK: 50, topP: 0.9 }, 2],
      [{ temperature: 1, topP: 0.9 }, 3],
      [{ temperature: 1, topP: 0.9, repetitionPenalty: 1.1, history }, 4],
    ] as const) {
      const before = gpu.stats();
      sampleToken(logits, options).dispose();
      const after = gpu.stats();
      expect(after.dispatches - before.dispatches).toBe(dispatches);
      expect(after.readbacks).toBe(before.readbacks);
      expect(after.liveBytes).toBe(before.liveBytes);
    }
    logits.dispose();
    history.dispose();
  });

  it('takes a vocabulary of 262144', async () => {
    const gpu = await sharedGpu();
    const logits = logitsLike(262_144, 2).map((value) => 2 * value);
    await checkSampling(gpu, logits, 1, { temperature: 1, topP: 0.8 }, { seed: 2, position: 2 });
    await checkSampling(gpu, logits, 1, { temperature: 1, topK: 1000 }, { seed: 2, position: 2 });
    expect(await sample(gpu, logits, 1, {})).toEqual([logits.indexOf(logits.reduce((a, b) => Math.max(a, b)))]);
  });

  it('refuses what makes no sense', async () => {
    const gpu = await sharedGpu();
    const logits = gpu.zeros([2, 8]);
    const flat = gpu.zeros([8]);
    const history = gpu.zeros([3, 4], 'u32');
    const bad: SampleTokenOptions[] = [
      { temperature: -1 },
      { temperature: Number.NaN },
      { topK: -1 },
      { topK: 1.5 },
      { topP: 0 },
      { topP: 1.1 },
      { seed: -1 },
      { seed: 0.5 },
      { seed: 1n << 64n },
      { position: -1 },
      { position: 2 ** 32 },
      { repetitionPenalty: 0 },
      { repetitionPenalty: 2 },
    ];
    for (const options of bad)
      expect(
        () => sampleToken(logits, options),
        JSON.stringify(options, (_, v) => String(v)),
      ).toThrow(ArgumentError);
    expect(() => sampleToken(flat)).toThrow(ShapeError);
    expect(() => sampleToken(logits, { history, repetitionPenalty: 2 })).toThrow(ShapeError);
    for (const tensor of [logits, flat, history]) tensor.dispose();
  });
});

import { describe, expect, it } from 'vitest';
import { ArgumentError, type RopeScaling, rope, ropeFrequencies, ropeTable, ShapeError } from '../src/index.ts';
import { assertClose, modestGpu, randomArray, randomIntegers, ropeReference, sharedGpu } from '../src/testing/index.ts';

const shapes = [
  [1, 1, 1, 2],
  [1, 1, 9, 64],
  [2, 7, 3, 16],
  [3, 65, 2, 24],
] as const;

describe.each([
  ['full', sharedGpu],
  ['modest', modestGpu],
] as const)('rope on the %s device', (_, open) => {
  for (const layout of ['half', 'interleaved'] as const) {
    it.each(shapes)(`rotates [%i, %i, %i, %i] in the layout ${layout}`, async (...shape) => {
      const gpu = await open();
      const before = gpu.stats().liveBytes;
      const [batches, tokens, heads, size] = shape;
      const data = randomArray(batches * tokens * heads * size, 31);
      for (const rotarySize of size > 4 ? [size, size / 2] : [size]) {
        const options = { rotarySize, base: 5000, positions: 300 };
        const table = ropeTable(gpu, options);
        const { frequencies } = ropeFrequencies(options);
        const listed = randomIntegers(batches * tokens, 32, 300);
        const results = gpu.tidy(() => {
          const x = gpu.tensor(data, shape);
          // Heads before tokens in memory, as a strided view.
          const swapped = gpu
            .tensor(swapTokensAndHeads(data, shape), [batches, heads, tokens, size])
            .transpose(0, 2, 1, 3);
          return {
            started: rope(x, table, { layout, start: 235 }),
            listed: rope(swapped, table, { layout, positions: gpu.tensor(listed, [batches, tokens], 'u32') }),
            shared: rope(x, table, { layout, positions: gpu.tensor(listed.slice(0, tokens), [tokens], 'u32') }),
          };
        });
        const expected = (position: (batch: number, token: number) => number) =>
          ropeReference(data, shape, { frequencies, position, layout });
        const references = {
          started: expected((__, token) => 235 + token),
          listed: expected((batch, token) => listed[batch * tokens + token] as number),
          shared: expected((__, token) => listed[token] as number),
        };
        for (const name of ['started', 'listed', 'shared'] as const) {
          expect(results[name].shape).toEqual(shape);
          assertClose(await results[name].read(), references[name], { absolute: 1e-6, name: `${name} ${rotarySize}` });
          results[name].dispose();
        }
        table.dispose();
      }
      expect(gpu.stats().liveBytes).toBe(before);
    });
  }

  it('rotates sections of pairs by positions of their own, and adds an offset to listed ones', async () => {
    const gpu = await open();
    const [tokens, heads, size] = [9, 3, 24];
    const sections = [2, 6, 4];
    const data = randomArray(tokens * heads * size, 34);
    const table = ropeTable(gpu, { rotarySize: size, base: 500, positions: 50 });
    const { frequencies } = ropeFrequencies({ rotarySize: size, base: 500, positions: 50 });
    const listed = randomIntegers(3 * tokens, 35, 50);
    const { sectioned, moved } = gpu.tidy(() => {
      const x = gpu.tensor(data, [tokens, heads, size]);
      return {
        sectioned: rope(x, table, { sections, positions: gpu.tensor(listed, [3, tokens], 'u32') }),
        moved: rope(x, table, { positions: gpu.tensor(listed.slice(0, tokens), [tokens], 'u32'), offset: -7 }),
      };
    });
    // Each axis by itself; of its result the section counts.
    const byAxis = [0, 1, 2].map((axis) =>
      ropeReference(data, [1, tokens, heads, size], {
        frequencies,
        position: (__, token) => listed[axis * tokens + token] as number,
        layout: 'half',
      }),
    );
    const expected = Float64Array.from(data, (__, index) => {
      const pair = index % (size / 2);
      return byAxis[pair < 2 ? 0 : pair < 8 ? 1 : 2]?.[index] as number;
    });
    assertClose(await sectioned.read(), expected, { absolute: 1e-6, name: 'sections' });
    const before = ropeReference(data, [1, tokens, heads, size], {
      frequencies,
      position: (__, token) => Math.max((listed[token] as number) - 7, 0),
      layout: 'half',
    });
    assertClose(await moved.read(), before, { absolute: 1e-6, name: 'offset' });
    for (const owner of [table, sectioned, moved]) owner.dispose();
  });

  it.each(['f16', 'bf16'] as const)('takes %s heads without a batch axis', async (dtype) => {
    const gpu = await open();
    const table = ropeTable(gpu, { rotarySize: 32, positions: 8 });
    const x = gpu.tensor(randomArray(5 * 3 * 32, 33), [5, 3, 32], dtype);
    const out = rope(x, table, { start: 3 });
    const { frequencies } = ropeFrequencies({ rotarySize: 32, positions: 8 });
    const expected = ropeReference(await x.read(), [1, 5, 3, 32], {
      frequencies,
      position: (__, token) => 3 + token,
      layout: 'half',
    });
    expect(out.shape).toEqual([5, 3, 32]);
    assertClose(await out.read(), expected, { absolute: 1e-6 });
    for (const owner of [table, x, out]) owner.dispose();
  });
});

function swapTokensAndHeads(
  data: Float32Array,
  [batches, tokens, heads, size]: readonly [number, number, number, number],
) {
  const out = new Float32Array(data.length);
  for (let batch = 0; batch < batches; batch++) {
    for (let token = 0; token < tokens; token++) {
      for (let head = 0; head < heads; head++) {
        const from = ((batch * tokens + token) * heads + head) * size;
        out.set(data.subarray(from, from + size), ((batch * heads + head) * tokens + token) * size);
      }
    }
  }
  return out;
}

it('keeps far positions exact: the table is made in f64', async () => {
  const gpu = await sharedGpu();
  const table = ropeTable(gpu, { rotarySize: 2, base: 10_000, positions: 100_001 });
  const cos = table.cos.slice(0, 100_000, 100_001);
  assertClose(await cos.read(), [Math.cos(100_000)], { absolute: 6e-8 });
  cos.dispose();
  table.dispose();
});

it('counts positions beyond the table as its last', async () => {
  const gpu = await sharedGpu();
  const table = ropeTable(gpu, { rotarySize: 4, positions: 10 });
  const x = gpu.tensor(randomArray(8, 34), [2, 1, 4]);
  const positions = gpu.tensor([9, 4_000_000_000], [2], 'u32');
  const out = rope(x, table, { positions });
  const { frequencies } = ropeFrequencies({ rotarySize: 4, positions: 10 });
  const expected = ropeReference(await x.read(), [1, 2, 1, 4], { frequencies, position: () => 9, layout: 'half' });
  assertClose(await out.read(), expected, { absolute: 1e-6 });
  for (const owner of [table, x, positions, out]) owner.dispose();
});

it('refuses what does not fit', async () => {
  const gpu = await sharedGpu();
  const table = ropeTable(gpu, { rotarySize: 8, positions: 10 });
  const x = gpu.zeros([3, 2, 8]);
  const narrow = gpu.zeros([3, 2, 6]);
  const flat = gpu.zeros([6, 8]);
  const integers = gpu.zeros([3, 2, 8], 'i32');
  const positions = gpu.zeros([4], 'u32');
  expect(() => rope(flat, table)).toThrow(ShapeError);
  expect(() => rope(narrow, table)).toThrow(ShapeError);
  expect(() => rope(integers, table)).toThrow(ShapeError);
  expect(() => rope(x, table, { positions })).toThrow(ShapeError);
  expect(() => rope(x, table, { start: 8 })).toThrow(/0 <= start <= 7/);
  expect(() => ropeTable(gpu, { rotarySize: 3, positions: 10 })).toThrow(ArgumentError);
  expect(() => ropeTable(gpu, { rotarySize: 4, positions: 0 })).toThrow(ArgumentError);
  expect(() => ropeTable(gpu, { rotarySize: 4, positions: 1, scaling: { type: 'linear', factor: 0.5 } })).toThrow(
    ArgumentError,
  );
  for (const owner of [table, x, narrow, flat, integers, positions]) owner.dispose();
});

describe('scalings', () => {
  const size = 64;
  const frequencies = (scaling?: RopeScaling, positions = 4096, base = 10_000) =>
    ropeFrequencies({ rotarySize: size, base, positions, ...(scaling ? { scaling } : {}) });
  const plain = frequencies().frequencies;

  it('linear divides every frequency', () => {
    assertClose(
      frequencies({ type: 'linear', factor: 4 }).frequencies,
      plain.map((value) => value / 4),
      { relative: 1e-15 },
    );
  });

  it('dynamic changes nothing up to the original context and stretches the base beyond', () => {
    const scaling: RopeScaling = { type: 'dynamic', factor: 2, originalContext: 4096 };
    assertClose(frequencies(scaling).frequencies, plain, { relative: 1e-12 });
    const { frequencies: longer } = frequencies(scaling, 8192);
    expect(longer[0]).toBe(1);
    // base * (2 * 2 - 1)^(64 / 62)
    const base = 10_000 * 3 ** (64 / 62);
    expect(longer[31]).toBeCloseTo(base ** (-62 / 64), 15);
  });

  it('llama3 keeps high frequencies, divides low ones and mixes between', () => {
    const scaling: RopeScaling = {
      type: 'llama3',
      factor: 8,
      lowFrequencyFactor: 1,
      highFrequencyFactor: 4,
      originalContext: 8192,
    };
    const base = frequencies(undefined, 4096, 500_000).frequencies;
    const scaled = frequencies(scaling, 4096, 500_000).frequencies;
    const ratios = scaled.map((value, i) => value / (base[i] as number));
    const wavelengths = base.map((value) => (2 * Math.PI) / value);
    wavelengths.forEach((wavelength, i) => {
      const ratio = ratios[i] as number;
      if (wavelength < 8192 / 4) expect(ratio).toBe(1);
      else if (wavelength > 8192) expect(ratio).toBeCloseTo(1 / 8, 15);
      else expect(ratio > 1 / 8 && ratio < 1).toBe(true);
    });
    expect(ratios.some((ratio) => ratio > 1 / 8 + 1e-9 && ratio < 1 - 1e-9)).toBe(true);
  });

  it('yarn keeps fast dimensions, interpolates slow ones and scales the logits', () => {
    const scaled = frequencies({ type: 'yarn', factor: 16, originalContext: 4096 });
    expect(scaled.attentionFactor).toBeCloseTo(0.1 * Math.log(16) + 1, 15);
    const ratios = scaled.frequencies.map((value, i) => value / (plain[i] as number));
    // 32 rotations in 4096 tokens lie at dimension 10.46, one rotation at 22.51.
    expect(ratios[10]).toBe(1);
    expect(ratios[23]).toBeCloseTo(1 / 16, 15);
    expect(ratios[16]).toBeCloseTo(1 - (6 / 13) * (15 / 16), 12);
    const factor = { type: 'yarn', factor: 16, originalContext: 4096, mscale: 1, mscaleAllDimensions: 1 } as const;
    expect(frequencies(factor).attentionFactor).toBe(1);
    expect(frequencies({ ...factor, attentionFactor: 1.5 }).attentionFactor).toBe(1.5);
  });
});

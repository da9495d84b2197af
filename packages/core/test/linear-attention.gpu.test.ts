import { describe, expect, it } from 'vitest';
import {
  ArgumentError,
  featureCount,
  type Gpu,
  type LinearAttentionOptions,
  linearAttention,
  linearAttentionGradient,
  linearAttentionStateShapes,
  linearAttentionStep,
  ShapeError,
} from '../src/index.ts';
import { hardwareKernelsGpu } from '../src/testing/hardware-kernels-gpu.ts';
import {
  assertClose,
  featureReference,
  type LinearAttentionReferenceInput,
  linearAttentionReference,
  modestGpu,
  randomArray,
  sharedGpu,
} from '../src/testing/index.ts';

type Sizes = readonly [batch: number, heads: number, rows: number, size: number, valueSize: number];

function randomCase([batch, heads, rows, size, valueSize]: Sizes) {
  const groups = batch * heads;
  return {
    groups,
    rows,
    size,
    valueSize,
    q: randomArray(groups * rows * size, 1, { scale: 2 }),
    k: randomArray(groups * rows * size, 2, { scale: 2 }),
    v: randomArray(groups * rows * valueSize, 3),
  };
}

function upload(gpu: Gpu, [batch, heads, rows, size, valueSize]: Sizes, { q, k, v }: ReturnType<typeof randomCase>) {
  const narrow = [batch, heads, rows, size];
  return {
    q: gpu.tensor(q, narrow),
    k: gpu.tensor(k, narrow),
    v: gpu.tensor(v, [batch, heads, rows, valueSize]),
  };
}

type ReferenceOptions = Pick<LinearAttentionReferenceInput, 'featureMap' | 'scale' | 'normalize' | 'epsilon'>;
type TestOptions = ReferenceOptions & Pick<LinearAttentionOptions, 'chunk'>;

const cases: readonly (readonly [string, Sizes, TestOptions])[] = [
  ['one row', [1, 2, 1, 8, 16], {}],
  ['one chunk', [1, 2, 33, 8, 16], { chunk: 64, epsilon: 0.5 }],
  ['ragged chunks', [2, 2, 37, 8, 16], { chunk: 17 }],
  ['chunks of one row', [1, 2, 5, 8, 16], { chunk: 1 }],
  ['odd sizes', [1, 2, 21, 7, 13], { chunk: 10 }],
  ['values in several blocks', [1, 1, 18, 4, 76], { chunk: 8 }],
  [
    'identity without normalizer',
    [1, 2, 20, 8, 16],
    { featureMap: 'identity', normalize: false, chunk: 7, scale: 0.3 },
  ],
];

describe.each([
  ['modest', modestGpu],
  ['hardware kernels', hardwareKernelsGpu],
] as const)('linear attention on the %s device', (_, open) => {
  it.each(cases)('%s equals all pairs in f64', async (_name, sizes, options) => {
    const gpu = await open();
    const { liveBytes, readbacks } = gpu.stats();
    const input = randomCase(sizes);
    const found = gpu.tidy(() => {
      const { q, k, v } = upload(gpu, sizes, input);
      return linearAttention(q, k, v, options);
    });
    expect(gpu.stats().readbacks).toBe(readbacks);
    const expected = linearAttentionReference({ ...input, ...options });
    assertClose(await found.output.read(), expected.output, { relative: 1e-4, absolute: 1e-5 });
    found.output.dispose();
    if (found.normalizer) {
      assertClose(await found.normalizer.read(), expected.normalizer, { relative: 1e-4 });
      found.normalizer.dispose();
    }
    expect(found.state).toBeUndefined();
    expect(gpu.stats().liveBytes).toBe(liveBytes);
  });

  it.each(cases)('%s goes on from a state, and gives the next', async (_name, sizes, options) => {
    const gpu = await open();
    const [, , rows] = sizes;
    if (rows === 1) return;
    const input = randomCase(sizes);
    const cut = Math.ceil(rows / 3);
    const { output, state } = gpu.tidy(() => {
      const { q, k, v } = upload(gpu, sizes, input);
      const part = (from: number, to: number) =>
        [q, k, v].map((x) => x.slice(2, from, to)) as [typeof q, typeof k, typeof v];
      const first = linearAttention(...part(0, cut), { ...options, returnState: true });
      const rest = linearAttention(...part(cut, rows - 1), { ...options, state: first.state!, returnState: true });
      return linearAttentionStep(...part(rows - 1, rows), rest.state!, options);
    });
    const { groups, size, valueSize } = input;
    const { output: expected } = linearAttentionReference({ ...input, ...options });
    const last = Array.from({ length: groups }, (_, group) =>
      Array.from(expected.subarray((group * rows + rows - 1) * valueSize, (group + 1) * rows * valueSize)),
    ).flat();
    assertClose(await output.read(), last, { relative: 1e-4, absolute: 1e-5, name: 'last row' });
    const features = featureReference(input.k, { size, ...options });
    const width = featureCount(options.featureMap ?? 'taylor', size);
    expect(features[0]).toHaveLength(width);
    const sums = new Float64Array(groups * width);
    const products = new Float64Array(groups * width * valueSize);
    features.forEach((phi, row) => {
      const group = Math.floor(row / rows);
      phi.forEach((feature, at) => {
        sums[group * width + at]! += feature;
        for (let c = 0; c < valueSize; c++)
          products[(group * width + at) * valueSize + c]! += feature * (input.v[row * valueSize + c] as number);
      });
    });
    assertClose(await state.k.read(), sums, { relative: 1e-4, absolute: 1e-4, name: 'state.k' });
    assertClose(await state.kv.read(), products, { relative: 1e-4, absolute: 1e-4, name: 'state.kv' });
    for (const tensor of [output, state.k, state.kv]) tensor.dispose();
  });

  it.each(cases)('%s has the gradients of central differences', async (_name, sizes, options) => {
    const gpu = await open();
    const input = randomCase(sizes);
    const upstream = randomArray(input.v.length, 4);
    const gradients = gpu.tidy(() => {
      const { q, k, v } = upload(gpu, sizes, input);
      return linearAttentionGradient(
        gpu.tensor(upstream, v.shape),
        q,
        k,
        v,
        linearAttention(q, k, v, options),
        options,
      );
    });
    const loss = (changed: Partial<typeof input>) =>
      linearAttentionReference({ ...input, ...options, ...changed }).output.reduce(
        (sum, x, at) => sum + x * (upstream[at] as number),
        0,
      );
    for (const [name, gradient] of [
      ['q', gradients.dq],
      ['k', gradients.dk],
      ['v', gradients.dv],
    ] as const) {
      const found = await gradient.read();
      const numbers = Float64Array.from(input[name]);
      // Every element would take minutes: a prime stride reaches all rows and columns over the cases.
      const picked = Array.from({ length: numbers.length }, (_, at) => at).filter(
        (at) => at % 29 === 0 || numbers.length < 60,
      );
      const differences = picked.map((at) => {
        const moved = (step: number) => loss({ [name]: numbers.with(at, (numbers[at] as number) + step) as never });
        return (moved(1e-5) - moved(-1e-5)) / 2e-5;
      });
      const largest = Math.max(...differences.map(Math.abs));
      assertClose(
        picked.map((at) => found[at] as number),
        differences,
        { relative: 1e-4, absolute: 1e-4 * largest + 1e-6, name: `gradient by ${name}` },
      );
      gradient.dispose();
    }
  });
});

describe('what linear attention refuses', () => {
  const call = async (shapes: Partial<Record<'q' | 'k' | 'v', number[]>>, options: LinearAttentionOptions = {}) => {
    const gpu = await sharedGpu();
    const { q = [1, 2, 3, 4], k = [1, 2, 3, 4], v = [1, 2, 3, 8] } = shapes;
    return () => gpu.tidy(() => linearAttention(gpu.zeros(q), gpu.zeros(k), gpu.zeros(v), options));
  };

  it('shapes that do not fit', async () => {
    expect(await call({ q: [2, 3, 4] })).toThrow(ShapeError);
    expect(await call({ k: [1, 2, 3, 5] })).toThrow(/q is \[1,2,3,4\], k is \[1,2,3,5\]/);
    expect(await call({ v: [1, 2, 4, 8] })).toThrow(/B, H and N must agree/);
    expect(await call({ v: [1, 2, 3, 300] })).toThrow(/1 to 256/);
  });

  it('options out of range', async () => {
    expect(await call({}, { chunk: 0 })).toThrow(ArgumentError);
    expect(await call({}, { scale: -1 })).toThrow(/scale/);
    expect(await call({}, { epsilon: Number.NaN })).toThrow(/epsilon/);
    expect(await call({}, { featureMap: 'cosine' as never })).toThrow(/identity, taylor/);
  });

  it('a state of another shape, and a step of two tokens', async () => {
    const gpu = await sharedGpu();
    const shapes = linearAttentionStateShapes({ batch: 1, heads: 2, size: 4, valueSize: 8 });
    expect(shapes).toEqual({ kv: [1, 2, 15, 8], k: [1, 2, 15] });
    gpu.tidy(() => {
      const state = { kv: gpu.zeros(shapes.kv), k: gpu.zeros([1, 2, 14]) };
      const [q, v] = [gpu.zeros([1, 2, 1, 4]), gpu.zeros([1, 2, 1, 8])];
      expect(() => linearAttentionStep(q, q, v, state)).toThrow(/state.k is f32\[1,2,14\]; needs f32 \[1,2,15\]/);
      const two = gpu.zeros([1, 2, 2, 4]);
      const whole = { kv: gpu.zeros(shapes.kv), k: gpu.zeros(shapes.k) };
      expect(() => linearAttentionStep(two, two, gpu.zeros([1, 2, 2, 8]), whole)).toThrow(/one token/);
    });
  });
});

it('no rows give no rows, and the state that was given', async () => {
  const gpu = await sharedGpu();
  const { liveBytes } = gpu.stats();
  const { output, normalizer, state } = gpu.tidy(() => {
    const q = gpu.zeros([1, 2, 0, 4]);
    const given = { kv: gpu.tensor(randomArray(240, 1), [1, 2, 15, 8]), k: gpu.tensor(randomArray(30, 2), [1, 2, 15]) };
    return linearAttention(q, q, gpu.zeros([1, 2, 0, 8]), { state: given, returnState: true });
  });
  expect(output.shape).toEqual([1, 2, 0, 8]);
  assertClose((await state?.k.read()) as Float32Array, randomArray(30, 2));
  for (const tensor of [output, normalizer, state?.k, state?.kv]) tensor?.dispose();
  expect(gpu.stats().liveBytes).toBe(liveBytes);
});

it('takes four dispatches for many chunks, one for a single one and one for a token', async () => {
  const gpu = await sharedGpu();
  const count = (work: () => unknown) => {
    const before = gpu.stats().dispatches;
    gpu.tidy(() => {
      work();
    });
    return gpu.stats().dispatches - before;
  };
  gpu.tidy(() => {
    const rows = (n: number) => {
      const q = gpu.zeros([1, 2, n, 8]);
      return [q, q, gpu.zeros([1, 2, n, 16])] as const;
    };
    expect(count(() => linearAttention(...rows(37), { chunk: 17 }))).toBe(4);
    expect(count(() => linearAttention(...rows(33)))).toBe(1);
    const state = { kv: gpu.zeros([1, 2, 45, 16]), k: gpu.zeros([1, 2, 45]) };
    expect(count(() => linearAttentionStep(...rows(1), state))).toBe(1);
  });
});

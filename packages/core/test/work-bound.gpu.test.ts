import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ArgumentError, attention, defineKernel, type Gpu, linear, matmul, openGpu } from '../src/index.ts';
import { modestGpu, openModestGpu, randomArray, sharedGpu } from '../src/testing/index.ts';

const maxDispatchFlops = 1e8;

/** Each workgroup counts itself once, and sums the indices of its lanes behind a barrier. */
const countGroups = defineKernel<Record<never, never>>({
  name: 'test.countGroups',
  bindings: () => [
    { name: 'runs', type: 'array<atomic<u32>>', access: 'read_write' },
    { name: 'sums', type: 'array<u32>', access: 'read_write' },
  ],
  parameters: [['start', 'u32']],
  workgroupSize: () => 8,
  source: () => ({
    declarations: 'var<workgroup> indices: array<u32, 8>;',
    main: `
  indices[lane] = params.start + group * 8u + lane;
  workgroupBarrier();
  if (lane > 0u) { return; }
  var sum = 0u;
  for (var at = 0u; at < 8u; at++) { sum += indices[at]; }
  sums[group] = sum;
  atomicAdd(&runs[group], 1u);`,
  }),
});

/** What a piece of work returns, and what it recorded. */
async function run(gpu: Gpu, work: (gpu: Gpu) => ReturnType<Gpu['empty']>) {
  const before = gpu.stats();
  const result = gpu.tidy(() => work(gpu));
  const dispatches = gpu.stats().dispatches - before.dispatches;
  const data = await result.read();
  result.dispose();
  const after = gpu.stats();
  return {
    data,
    dispatches,
    submits: after.submits - before.submits,
    made: after.bindGroupsCreated + after.buffersCreated + after.pipelinesCreated,
    leaked: after.liveBytes - before.liveBytes,
  };
}

function attend(gpu: Gpu, queries: number, causal: boolean) {
  const tensor = (rows: number, seed: number) => gpu.tensor(randomArray(rows * 64, seed), [1, 1, rows, 64]);
  return attention(tensor(queries, 1), tensor(4096, 2), tensor(4096, 3), { causal }).output;
}

describe.each([
  ['all features', sharedGpu, () => openGpu({ poison: true, maxDispatchFlops })],
  ["WebGPU's defaults", modestGpu, () => openModestGpu({ poison: true, maxDispatchFlops })],
] as const)('a bound on the work of a dispatch, %s', (_, whole, open) => {
  let bounded: Gpu;
  beforeAll(async () => {
    bounded = await open();
  });
  afterAll(() => bounded.dispose());

  it.each([true, false])('attention over 4,096 tokens, causal %s: the same bits in many dispatches', async (causal) => {
    const expected = await run(await whole(), (gpu) => attend(gpu, 4096, causal));
    const split = await run(bounded, (gpu) => attend(gpu, 4096, causal));
    expect(split.data).toEqual(expected.data);
    // Declared are 4 N M D FLOPs, also where causal.
    const least = Math.ceil((4 * 4096 * 4096 * 64) / maxDispatchFlops);
    expect(split.dispatches).toBeGreaterThanOrEqual(least);
    expect(split.submits).toBeGreaterThanOrEqual(least);
    expect(split.leaked).toBe(0);
  });

  it.each(['tile', 'lanes'] as const)('a matrix product, schedule %s: the same bits', async (schedule) => {
    const product = (gpu: Gpu) =>
      matmul(gpu.tensor(randomArray(300 * 700, 4), [300, 700]), gpu.tensor(randomArray(700 * 770, 5), [700, 770]), {
        schedule,
      });
    const expected = await run(await whole(), product);
    const split = await run(bounded, product);
    expect(split.data).toEqual(expected.data);
    // Software adapters pack the right operand first, in a dispatch that is no product.
    const packs = schedule === 'lanes' ? 1 : 0;
    expect(expected.dispatches).toBe(1 + packs);
    expect(split.dispatches).toBe(4 + packs);
    const again = await run(bounded, product);
    expect(again.made).toBe(split.made);
  });

  it('runs every workgroup once where ranges are folded into two dimensions', async () => {
    const workgroups = 300_007;
    const start = 5;
    const count = (gpu: Gpu) => {
      const runs = gpu.zeros([workgroups], 'u32');
      const sums = gpu.empty([workgroups], 'u32');
      // Three ranges of 100,003: each takes two rows of 50,002 workgroups, one of them surplus.
      const cost = { flops: 2.9 * maxDispatchFlops, bytes: 0 };
      gpu.launch(countGroups, {}, { bindings: [runs, sums], parameters: [start], workgroups, cost });
      return { runs, sums };
    };
    const before = bounded.stats().dispatches;
    const { runs, sums } = bounded.tidy(() => count(bounded));
    expect(bounded.stats().dispatches - before).toBe(3);
    const [ran, summed] = await bounded.read([runs, sums]);
    expect(ran?.every((times) => times === 1)).toBe(true);
    expect(summed?.every((sum, group) => sum === 8 * (start + group * 8) + 28)).toBe(true);
    for (const tensor of [runs, sums]) tensor.dispose();
  });

  it('changes nothing below the bound: a decode step, again and again', async () => {
    const decode = async (gpu: Gpu) => {
      const tensor = (shape: number[], seed: number) =>
        gpu.tensor(
          randomArray(64 * 4096, seed).slice(
            0,
            shape.reduce((a, b) => a * b),
          ),
          shape,
        );
      using q = tensor([1, 1, 1, 64], 1);
      using k = tensor([1, 1, 4096, 64], 2);
      using v = tensor([1, 1, 4096, 64], 3);
      using weight = tensor([64, 64], 6);
      const steps = [];
      for (let step = 0; step < 4; step++) {
        steps.push(await run(gpu, () => linear(attention(q, k, v).output.reshape([1, 64]), weight)));
      }
      return steps;
    };
    const expected = await decode(await whole());
    const steps = await decode(bounded);
    expect(steps.map(({ data }) => data)).toEqual(expected.map(({ data }) => data));
    expect(steps.map(({ dispatches }) => dispatches)).toEqual(expected.map(({ dispatches }) => dispatches));
    expect(steps.map(({ submits }) => submits)).toEqual([1, 1, 1, 1]);
    expect(steps[3]?.made).toBe(steps[1]?.made);
  });

  it('cuts submissions whose dispatches are small but many', async () => {
    const chain = (gpu: Gpu) => {
      const weight = gpu.tensor(randomArray(256 * 256, 7), [256, 256]);
      let x = gpu.tensor(randomArray(256 * 256, 8), [256, 256]);
      for (let layer = 0; layer < 9; layer++) x = matmul(x, weight);
      return x;
    };
    const expected = await run(await whole(), chain);
    const cut = await run(bounded, chain);
    expect(cut.data).toEqual(expected.data);
    expect(cut.dispatches).toBe(expected.dispatches);
    // Products of 3.4e7 FLOPs: two fit.
    expect(cut.submits - expected.submits).toBe(4);
  });
});

describe('the profile of a launch in ranges', () => {
  it('adds up to the declared work', async () => {
    using gpu = await openGpu({ maxDispatchFlops });
    using a = gpu.tensor(randomArray(300 * 700, 4), [300, 700]);
    using b = gpu.tensor(randomArray(700 * 770, 5), [700, 770]);
    const profile = await gpu.profile(() => matmul(a, b).dispose());
    const flops = profile.entries.reduce((sum, entry) => sum + entry.flops, 0);
    expect(flops).toBeCloseTo(2 * 300 * 700 * 770, -1);
  });
});

it.each([0, -1, Number.NaN])('refuses a bound of %d', async (bound) => {
  await expect(openGpu({ maxDispatchFlops: bound })).rejects.toThrow(ArgumentError);
});

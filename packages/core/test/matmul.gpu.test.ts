import { ArgumentError, linear, type MatmulSchedule, matmul, ShapeError, type Tensor } from '@saccade/core';
import { assertClose, matmulReference, modestGpu, randomArray, sharedGpu } from '@saccade/core/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { goldenTensors } from './golden-tensors.ts';

const schedules: readonly MatmulSchedule[] = ['lanes', 'vector', 'tile', 'broadcast 1 x 64'];
const shapes = [
  [1, 1, 1],
  [1, 7, 5],
  [2, 33, 9],
  [3, 64, 31],
  [5, 31, 1],
  [13, 17, 33],
  [33, 40, 65],
  [67, 36, 29],
] as const;
const close = (k: number) => ({ absolute: 1e-6 * Math.max(k, 4), relative: 1e-5 });

describe('matmul', () => {
  it.each(schedules)('%s: equals the reference on ragged shapes', async (schedule) => {
    const gpu = await sharedGpu();
    for (const [m, k, n] of shapes) {
      const a = randomArray(m * k, 1);
      const b = randomArray(k * n, 2);
      const out = gpu.tidy(() => matmul(gpu.tensor(a, [m, k]), gpu.tensor(b, [k, n]), { schedule }));
      expect(out.shape).toEqual([m, n]);
      assertClose(await out.read(), matmulReference(a, b, m, k, n), {
        ...close(k),
        name: `${schedule} ${m}x${k}x${n}`,
      });
      out.dispose();
    }
  });

  it.each(schedules)('%s: runs on WebGPU defaults', async (schedule) => {
    const gpu = await modestGpu();
    const [m, k, n] = [5, 37, 41];
    const a = randomArray(m * k, 1);
    const b = randomArray(k * n, 2);
    const out = gpu.tidy(() => matmul(gpu.tensor(a, [m, k]), gpu.tensor(b, [k, n]), { schedule }));
    assertClose(await out.read(), matmulReference(a, b, m, k, n), close(k));
    out.dispose();
  });

  it.each(schedules)('%s: reads transposes and slices in place', async (schedule) => {
    const gpu = await sharedGpu();
    const [m, k, n] = [6, 21, 11];
    const a = randomArray(m * k, 3);
    const bTransposed = randomArray((n + 3) * k, 4);
    const b = new Float64Array(k * n);
    for (let i = 0; i < k; i++) for (let j = 0; j < n; j++) b[i * n + j] = bTransposed[(j + 3) * k + i] as number;
    const aTransposed = new Float32Array(m * k);
    for (let i = 0; i < m; i++) for (let j = 0; j < k; j++) aTransposed[j * m + i] = a[i * k + j] as number;
    const out = gpu.tidy(() =>
      matmul(
        gpu.tensor(aTransposed, [k, m]).transpose(),
        gpu
          .tensor(bTransposed, [n + 3, k])
          .slice(0, 3, n + 3)
          .transpose(),
        { schedule },
      ),
    );
    assertClose(await out.read(), matmulReference(a, b, m, k, n), close(k));
    out.dispose();
  });

  it('lanes: loads four columns at once for one or two rows, also of slices and batches', async () => {
    const gpu = await sharedGpu();
    const [batches, k, n, skipped] = [2, 37, 72, 4];
    for (const m of [1, 2]) {
      const a = randomArray(batches * m * k, 1);
      const b = randomArray(batches * k * (n + skipped), 2);
      const out = gpu.tidy(() =>
        matmul(
          gpu.tensor(a, [batches, m, k]),
          gpu.tensor(b, [batches, k, n + skipped]).slice(2, skipped, n + skipped),
          { schedule: 'lanes' },
        ),
      );
      const expected = Array.from({ length: batches }, (_, batch) => {
        const columns = new Float64Array(k * n);
        for (let i = 0; i < k; i++)
          for (let j = 0; j < n; j++) columns[i * n + j] = b[(batch * k + i) * (n + skipped) + skipped + j] as number;
        return [...matmulReference(a.slice(batch * m * k, (batch + 1) * m * k), columns, m, k, n)];
      }).flat();
      assertClose(await out.read(), expected, { ...close(k), name: `${m} rows` });
      out.dispose();
    }
  });

  it('lanes: packs a right operand for many rows, also a slice and on WebGPU defaults', async () => {
    const [m, k, n] = [65, 20, 27];
    for (const gpu of [await sharedGpu(), await modestGpu()]) {
      const a = randomArray(m * k, 1);
      const wide = randomArray(k * (n + 2), 2);
      const b = Float32Array.from(
        { length: k * n },
        (_, i) => wide[Math.floor(i / n) * (n + 2) + (i % n) + 1] as number,
      );
      const before = gpu.stats().dispatches;
      const out = gpu.tidy(() =>
        matmul(gpu.tensor(a, [m, k]), gpu.tensor(wide, [k, n + 2]).slice(1, 1, n + 1), { schedule: 'lanes' }),
      );
      expect(gpu.stats().dispatches - before).toBe(2);
      assertClose(await out.read(), matmulReference(a, b, m, k, n), close(k));
      out.dispose();
    }
  });

  it.each([9, 8])('broadcasts batch axes, %i inner positions', async (k) => {
    const gpu = await sharedGpu();
    const [m, n] = [3, 10];
    const cases: [number[], number[], number[]][] = [
      [[2, 1], [5], [2, 5]],
      [[2], [], [2]],
      [[], [3, 2], [3, 2]],
      [
        [2, 1, 3, 1],
        [1, 2, 1, 2],
        [2, 2, 3, 2],
      ],
    ];
    for (const [left, right, whole] of cases) {
      const a = randomArray(count(left) * m * k, 5);
      const b = randomArray(count(right) * k * n, 6);
      for (const schedule of schedules) {
        const out = gpu.tidy(() =>
          matmul(gpu.tensor(a, [...left, m, k]), gpu.tensor(b, [...right, k, n]), { schedule }),
        );
        expect(out.shape).toEqual([...whole, m, n]);
        const expected: number[] = [];
        for (let batch = 0; batch < count(whole); batch++) {
          const ai = broadcastIndex(batch, whole, left) * m * k;
          const bi = broadcastIndex(batch, whole, right) * k * n;
          expected.push(...matmulReference(a.subarray(ai, ai + m * k), b.subarray(bi, bi + k * n), m, k, n));
        }
        assertClose(await out.read(), expected, { ...close(k), name: `${schedule} [${left}] x [${right}]` });
        out.dispose();
      }
    }
  });

  it('takes half-precision operands, also with odd inner sizes', async () => {
    const modest = await modestGpu();
    for (const gpu of [await sharedGpu(), modest]) {
      for (const dtype of ['f16', 'bf16'] as const) {
        for (const k of gpu === modest ? [17] : [17, 18]) {
          const all = k === 17 && gpu !== modest && dtype === 'f16';
          for (const schedule of all ? schedules : (['tile', 'lanes'] as const)) {
            const [m, n] = [5, 7];
            const [a, b] = gpu.tidy(() => [
              gpu.tensor(randomArray(m * k, 7), [m, k], dtype),
              gpu.tensor(randomArray(k * n, 8), [n, k], dtype),
            ]) as [Tensor, Tensor];
            const bColumns = b.transpose();
            const [aRounded, bRounded] = await gpu.read([a, bColumns]);
            const out = gpu.tidy(() => matmul(a, bColumns, { schedule }));
            assertClose(await out.read(), matmulReference(aRounded ?? [], bRounded ?? [], m, k, n), close(k));
            for (const tensor of [a, b, bColumns, out]) tensor.dispose();
          }
        }
      }
    }
  });

  it('holds for random shapes and magnitudes', async () => {
    const gpu = await sharedGpu();
    const size = fc.integer({ min: 1, max: 40 });
    await fc.assert(
      fc.asyncProperty(
        size,
        size,
        size,
        fc.constantFrom(...schedules),
        fc.integer({ min: -8, max: 8 }),
        async (m, k, n, schedule, power) => {
          const scale = 10 ** power;
          const a = randomArray(m * k, m, { scale });
          const b = randomArray(k * n, n, { scale });
          const out = gpu.tidy(() => matmul(gpu.tensor(a, [m, k]), gpu.tensor(b, [k, n]), { schedule }));
          const result = await out.read();
          out.dispose();
          assertClose(result, matmulReference(a, b, m, k, n), { absolute: 1e-6 * k * scale * scale, relative: 1e-5 });
        },
      ),
      { numRuns: 20, seed: 1 },
    );
  });

  it('equals PyTorch', async () => {
    const gpu = await sharedGpu();
    const golden = goldenTensors('ops');
    const [a, b] = [golden('matmul.a'), golden('matmul.b')];
    for (const schedule of schedules) {
      const out = gpu.tidy(() => matmul(gpu.tensor(a.data, a.shape), gpu.tensor(b.data, b.shape), { schedule }));
      assertClose(await out.read(), golden('matmul.out').data, { absolute: 1e-5, relative: 1e-5 });
      out.dispose();
    }
  });

  it('gives zeros where there is nothing to sum, and empty results', async () => {
    const gpu = await sharedGpu();
    const [zeros, none] = gpu.tidy(() => [
      matmul(gpu.zeros([2, 0]), gpu.zeros([0, 3])),
      matmul(gpu.zeros([0, 4]), gpu.zeros([4, 3])),
    ]) as [Tensor, Tensor];
    expect([...(await zeros.read())]).toEqual([0, 0, 0, 0, 0, 0]);
    expect(none.shape).toEqual([0, 3]);
    zeros.dispose();
    none.dispose();
  });

  it('refuses wrong shapes and types', async () => {
    const gpu = await sharedGpu();
    gpu.tidy(() => {
      const a = gpu.zeros([2, 3]);
      expect(() => matmul(a, gpu.zeros([4, 3]))).toThrow(ShapeError);
      expect(() => matmul(a, gpu.zeros([3]))).toThrow(ShapeError);
      expect(() => matmul(gpu.zeros([2, 2, 3]), gpu.zeros([3, 3, 3]))).toThrow(/broadcast/);
      expect(() => matmul(a, gpu.zeros([3, 2], 'u32'))).toThrow(ArgumentError);
      expect(() => linear(a, gpu.zeros([4, 2]))).toThrow(ShapeError);
    });
  });
});

function count(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Index into a tensor of shape `own` of the element at flat index `flat` of the shape `whole` that it broadcasts to. */
function broadcastIndex(flat: number, whole: readonly number[], own: readonly number[]): number {
  let index = 0;
  let stride = 1;
  let rest = flat;
  for (let axis = whole.length - 1; axis >= 0; axis--) {
    const at = rest % (whole[axis] as number);
    rest = Math.floor(rest / (whole[axis] as number));
    const size = own[axis - whole.length + own.length] ?? 1;
    index += (size === 1 ? 0 : at) * stride;
    stride *= size;
  }
  return index;
}

import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ArgumentError, contiguous, DisposedError, openGpu, ShapeError, type Tensor } from '../src/index.ts';
import { elementCount } from '../src/tensor/shape.ts';
import { assertClose, modestGpu, randomArray, sharedGpu, transposeReference } from '../src/testing/index.ts';

const dtypes = ['f32', 'f16', 'bf16', 'i32', 'u32'] as const;

/** 0, 1, 2, ... below 256: exact in every dtype. */
function counting(size: number): number[] {
  return Array.from({ length: size }, (_, i) => i % 256);
}

describe.each([
  ['full', sharedGpu],
  ['modest', modestGpu],
] as const)('tensors on the %s device', (_, open) => {
  it.each(dtypes)('read back %s of any size as uploaded', async (dtype) => {
    const gpu = await open();
    for (const shape of [[], [1], [7, 13], [3, 0, 2], [255]]) {
      const data = counting(elementCount(shape));
      const x = gpu.tensor(data, shape, dtype);
      expect([...(await x.read())]).toEqual(data);
      x.dispose();
    }
  });

  it.each(dtypes)('read strided and misaligned views of %s', async (dtype) => {
    const gpu = await open();
    const shape = [3, 5, 7];
    const data = counting(105);
    const x = gpu.tensor(data, shape, dtype);
    const views: [Tensor, ArrayLike<number>][] = [
      [x.transpose(), transposeReference({ data, shape }, [0, 2, 1])],
      [x.transpose(2, 0, 1), transposeReference({ data, shape }, [2, 0, 1])],
      [x.slice(0, 1, 2), data.slice(35, 70)],
      [x.slice(2, 3, 4), data.filter((__, i) => i % 7 === 3)],
      [gpu.tidy(() => x.slice(0, 2, 3).broadcastTo([2, 5, 7])), [...data.slice(70), ...data.slice(70)]],
      [x.slice(1, 5, 5), []],
      [x.alias(), data],
    ];
    const results = await gpu.read(views.map(([view]) => view));
    views.forEach(([view, expected], index) => {
      assertClose(results[index] as ArrayLike<number>, expected, { name: `[${view.shape}] strides [${view.strides}]` });
      view.dispose();
    });
    x.dispose();
  });
});

it('fills fresh memory of a test device with NaN in every float dtype', async () => {
  const gpu = await sharedGpu();
  for (const dtype of ['f32', 'f16', 'bf16'] as const) {
    const x = gpu.empty([5], dtype);
    expect([...(await x.read())].every(Number.isNaN)).toBe(true);
    x.dispose();
  }
});

it('zeros are zeros', async () => {
  const gpu = await sharedGpu();
  for (const dtype of dtypes) {
    const x = gpu.zeros([3, 5], dtype);
    expect([...(await x.read())]).toEqual(new Array(15).fill(0));
    x.dispose();
  }
});

it('reshape of views shows the same elements, or says that it cannot', async () => {
  const gpu = await sharedGpu();
  const axis = fc.constantFrom(1, 2, 3, 4, 6);
  const inputs = fc.record({
    shape: fc.array(axis, { minLength: 1, maxLength: 4 }),
    order: fc.array(fc.nat(100), { minLength: 4, maxLength: 4 }),
    cut: fc.record({ axis: fc.nat(3), start: fc.nat(2) }),
    target: fc.array(axis, { maxLength: 5 }),
  });
  let reshaped = 0;
  await fc.assert(
    fc.asyncProperty(inputs, async ({ shape, order, cut, target }) => {
      const x = gpu.tensor(counting(elementCount(shape)), shape);
      const axes = shape.map((__, index) => index).sort((a, b) => (order[a] as number) - (order[b] as number));
      const turned = x.transpose(...axes);
      const at = cut.axis % turned.rank;
      const view = turned.slice(at, Math.min(cut.start, (turned.shape[at] as number) - 1), turned.shape[at] as number);
      const expected = await view.read();
      const [first, ...rest] = [view.size, ...target];
      const shapes = [[first], [-1], [...rest, -1], [...view.shape, 1], [1, ...view.shape]];
      for (const shown of shapes) {
        const known = shown.reduce((product, size) => (size === -1 ? product : product * size), 1);
        if (view.size % known !== 0) {
          expect(() => view.reshape(shown)).toThrow(ShapeError);
          continue;
        }
        let result: Tensor;
        try {
          result = view.reshape(shown);
        } catch (error) {
          // Only a view that is not dense may refuse.
          expect(view.contiguous).toBe(false);
          expect(ShapeError.isInstance(error)).toBe(true);
          continue;
        }
        reshaped++;
        expect(result.size).toBe(view.size);
        assertClose(await result.read(), expected, { name: `[${shape}] order ${axes} to [${shown}]` });
        result.dispose();
      }
      for (const tensor of [x, turned, view]) tensor.dispose();
    }),
    { numRuns: 60, seed: 1 },
  );
  expect(reshaped).toBeGreaterThan(100);
});

it('refuses views that do not exist', async () => {
  const gpu = await sharedGpu();
  const x = gpu.zeros([2, 3]);
  expect(() => x.reshape([-2, -3])).toThrow(ShapeError);
  expect(() => x.reshape([4, -1])).toThrow(ShapeError);
  expect(() => x.reshape([-1, -1])).toThrow(ShapeError);
  expect(() => x.reshape([1.5, 4])).toThrow(ShapeError);
  expect(() => gpu.tidy(() => x.transpose().reshape([6]))).toThrow(/contiguous/);
  expect(() => x.transpose(0, 0)).toThrow(ArgumentError);
  expect(() => x.slice(0, 1, 3)).toThrow(ArgumentError);
  expect(() => x.slice(2, 0, 1)).toThrow(ArgumentError);
  expect(() => x.broadcastTo([2, 4])).toThrow(ShapeError);
  expect(() => x.broadcastTo([3])).toThrow(ShapeError);
  expect(() => gpu.tensor([1, 2, 3], [2])).toThrow(ShapeError);
  expect(() => gpu.empty([2, -1])).toThrow(ArgumentError);
  expect(() => gpu.fromBytes(new Uint8Array(3), [1], 'f32')).toThrow(ShapeError);
  x.dispose();
  expect(() => x.storage).toThrow(DisposedError);
  await expect(x.read()).rejects.toThrow(DisposedError);
});

it('rows of a quantized tensor cannot be bound by themselves', async () => {
  const gpu = await sharedGpu();
  const x = gpu.empty([4, 32], 'q4_0');
  expect(gpu.bindable(x)).toBe(true);
  for (const part of [x.slice(0, 1, 3), x.slice(0, 0, 2)]) {
    expect(gpu.bindable(part)).toBe(false);
    expect(() => gpu.range(part, 'test')).toThrow(/part of a quantized tensor/);
    part.dispose();
  }
  x.dispose();
});

it('an upload replaces what earlier commands wrote, and is seen by later ones', async () => {
  const gpu = await sharedGpu();
  const first = gpu.tensor([1, 2, 3, 4]);
  const copy = contiguous(first);
  const dense = first.storage;
  const [piece] = dense.pieces;
  gpu.write(
    { buffer: (piece as (typeof dense.pieces)[number]).buffer, offset: 4, bytes: 4 },
    new Uint8Array(Float32Array.of(9).buffer),
  );
  expect([...(await first.read())]).toEqual([1, 9, 3, 4]);
  first.dispose();
  copy.dispose();
});

describe('lifetimes', () => {
  it('tidy frees all but what it returns, also inside arrays and objects', async () => {
    const gpu = await sharedGpu();
    const before = gpu.stats().liveBytes;
    const kept: Tensor[] = [];
    const result = gpu.tidy(() => {
      gpu.zeros([1000]);
      kept.push(gpu.keep(gpu.zeros([10])));
      const inner = gpu.tidy(() => ({ list: [gpu.zeros([3])], lost: gpu.zeros([4]).size }));
      return { ...inner, view: gpu.tensor([1, 2, 3, 4]).slice(0, 1, 3) };
    });
    expect(result.list[0]?.disposed).toBe(false);
    // The view keeps its tensor's memory although that handle is gone.
    expect([...(await result.view.read())]).toEqual([2, 3]);
    for (const tensor of [...kept, ...result.list, result.view]) {
      expect(tensor.disposed).toBe(false);
      tensor.dispose();
      tensor.dispose();
    }
    expect(gpu.stats().liveBytes).toBe(before);
  });

  it('tidy frees everything when its function throws or is asynchronous', async () => {
    const gpu = await sharedGpu();
    const before = gpu.stats().liveBytes;
    const fail = () => {
      gpu.zeros([100]);
      throw new Error('on purpose');
    };
    expect(() => gpu.tidy(fail)).toThrow('on purpose');
    expect(() => gpu.tidy(async () => gpu.zeros([100]))).toThrow(ArgumentError);
    expect(gpu.stats().liveBytes).toBe(before);
  });

  it('memory is free once the last of a tensor and its views is disposed', async () => {
    const gpu = await sharedGpu();
    const before = gpu.stats().liveBytes;
    const x = gpu.zeros([1024]);
    const view = x.slice(0, 5, 6);
    x.dispose();
    expect(gpu.stats().liveBytes).toBeGreaterThan(before);
    expect(() => x.alias()).toThrow(DisposedError);
    view[Symbol.dispose]();
    expect(gpu.stats().liveBytes).toBe(before);
  });

  it('the peak is the most that lived at once, since it was reset', async () => {
    const gpu = await sharedGpu();
    gpu.resetPeak();
    const start = gpu.stats().liveBytes;
    expect(gpu.stats().peakBytes).toBe(start);
    const [a, b] = [gpu.zeros([1024]), gpu.zeros([2048])];
    a.dispose();
    const c = gpu.zeros([256]);
    expect(gpu.stats().peakBytes - start).toBe(3 * 4096);
    gpu.resetPeak();
    expect(gpu.stats().peakBytes - start).toBe(2 * 4096 + 1024);
    b.dispose();
    c.dispose();
    expect(gpu.stats().liveBytes).toBe(start);
  });

  it('reuses buffers and bind groups', async () => {
    const gpu = await openGpu();
    const step = () => gpu.tidy(() => contiguous(gpu.zeros([64, 64]).transpose())).dispose();
    // The two buffers take turns, so the second step still makes a bind group.
    for (let i = 0; i < 2; i++) step();
    await gpu.synchronize();
    const warm = gpu.stats();
    for (let i = 0; i < 50; i++) step();
    await gpu.synchronize();
    const after = gpu.stats();
    expect(after.buffersCreated).toBe(warm.buffersCreated);
    expect(after.bindGroupsCreated).toBe(warm.bindGroupsCreated);
    expect(after.pipelinesCreated).toBe(warm.pipelinesCreated);
    expect(after.dispatches - warm.dispatches).toBe(50);
    expect(after.liveBytes).toBe(0);
    gpu.dispose();
  });

  it('warns of a tensor that was garbage-collected without dispose, and frees it', async () => {
    const { setFlagsFromString } = await import('node:v8');
    const { runInNewContext } = await import('node:vm');
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const lines: string[] = [];
    const gpu = await openGpu({ log: (line) => lines.push(line) });
    (() => gpu.zeros([123]))();
    for (let attempt = 0; attempt < 100 && lines.length === 0; attempt++) {
      collect();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(lines).toEqual([expect.stringContaining('f32[123] was garbage-collected without dispose()')]);
    expect(gpu.stats().liveBytes).toBe(0);
    gpu.dispose();
  });
});

describe('tensors over the binding limit', () => {
  it('are split along the first axis, and come back as they were uploaded', async () => {
    const gpu = await openGpu({ without: ['limits'], poison: true });
    const [rows, columns] = [33_333, 1031];
    const data = new Float32Array(rows * columns);
    for (let i = 0; i < data.length; i++) data[i] = i % 65_537;
    const x = gpu.tensor(data, [rows, columns]);
    expect(x.storage.pieces.length).toBe(2);
    expect(x.storage.pieces.reduce((sum, piece) => sum + piece.rows, 0)).toBe(rows);
    const back = await x.read();
    // Element by element, but without a million expectations.
    expect(back.findIndex((value, i) => value !== data[i])).toBe(-1);
    for (const view of [x.slice(0, 0, 5), x.slice(0, 3, rows), x.reshape([rows * columns]), x.transpose()]) {
      await expect(view.read()).rejects.toThrow(ShapeError);
      view.dispose();
    }
    x.dispose();
    expect(gpu.stats().liveBytes).toBe(0);
    gpu.dispose();
  });

  it('are refused where one row alone is over the limit', async () => {
    const gpu = await openGpu({ without: ['limits'] });
    expect(() => gpu.empty([2, 40_000_000])).toThrow(/maxStorageBufferBindingSize is 134217728/);
    expect(gpu.stats().liveBytes).toBe(0);
    gpu.dispose();
  });
});

it('inputs for tests are the same for the same seed', () => {
  expect(randomArray(5, 1)).toEqual(randomArray(5, 1));
  expect(randomArray(5, 1)).not.toEqual(randomArray(5, 2));
  expect(Math.max(...randomArray(1000, 3, { scale: 4 }))).toBeGreaterThan(3.9);
});

it('assertClose names the worst element and never accepts NaN', () => {
  expect(() => assertClose([1, 2.5, 3.2], [1, 2, 3], { absolute: 0.1, name: 'x' })).toThrow(
    /x: 2 of 3 elements are off. Worst at 1: got 2.5, expected 2/,
  );
  expect(() => assertClose([Number.NaN], [Number.NaN], { absolute: 1 })).toThrow(/Worst at 0/);
  expect(() => assertClose([1], [1, 2])).toThrow(/1 elements, expected 2/);
  expect(() => assertClose([Number.POSITIVE_INFINITY], [1e38], { relative: 1 })).toThrow();
  assertClose([Number.NEGATIVE_INFINITY, 1.05], [Number.NEGATIVE_INFINITY, 1], { relative: 0.1 });
});

import { matmulReference, sharedGpu } from '@saccade/core/testing';
import { expect, it } from 'vitest';
import { compareWork } from '../src/peers/compare.ts';
import { PeerTimeoutError } from '../src/peers/errors.ts';
import { Ours } from '../src/peers/ours.ts';
import type { Peer } from '../src/peers/peers.ts';
import { sampledError, sampledReference } from '../src/peers/reference.ts';
import { type Implementation, timed } from '../src/peers/runner.ts';
import type { TrainingWork } from '../src/peers/training.ts';
import { type MatmulWork, matmulInputs, type TensorWork, workName } from '../src/peers/work.ts';

const attention = { kind: 'attention', heads: 4, kvHeads: 2, length: 70, headSize: 16 } as const;
const matmul: MatmulWork = { kind: 'matmul', m: 33, k: 40, n: 50 };
const works: readonly TensorWork[] = [
  matmul,
  { kind: 'quantized-matmul', m: 5, k: 96, n: 40 },
  { ...attention, causal: true },
  { ...attention, causal: false },
  { kind: 'convolution', images: 2, inputs: 5, outputs: 6, size: 9, kernel: 3 },
];

it.each(works.map((work) => [workName(work), work] as const))('this project is right about %s', async (_name, work) => {
  const gpu = await sharedGpu();
  const before = gpu.stats().liveBytes;
  const prepared = await new Ours(gpu).prepare(work);
  expect(await prepared.run()).toBeGreaterThan(0);
  expect(sampledError(await prepared.output(), sampledReference(work))).toBeLessThan(5e-6);
  await prepared.dispose();
  expect(gpu.stats().liveBytes).toBe(before);
});

const training: TrainingWork = {
  ...{ kind: 'training', layers: 2, hiddenSize: 32, heads: 2, intermediateSize: 40, batch: 2, length: 20 },
};

it('gives the same losses from the same weights after any number of steps', async () => {
  const gpu = await sharedGpu();
  const before = gpu.stats().liveBytes;
  const prepared = await new Ours(gpu).prepare(training);
  const first = await prepared.output();
  expect(await prepared.run()).toBeGreaterThan(0);
  expect(await prepared.output()).toEqual(first);
  const losses = Array.from(first);
  expect(losses).toHaveLength(4);
  expect(losses.toSorted((a, b) => b - a)).toEqual(losses);
  await prepared.dispose();
  expect(gpu.stats().liveBytes).toBe(before);
});

it('compares losses of a training step with ours', async () => {
  const gpu = await sharedGpu();
  const own = await new Ours(gpu).prepare(training);
  const losses = Array.from(await own.output());
  await own.dispose();
  const other = (factor: number): Implementation => ({
    description: 'known losses',
    prepare: async () => ({
      run: () => timed(async () => undefined),
      output: async () => losses.map((loss, step) => (step === 3 ? loss * factor : loss)),
      dispose: () => undefined,
    }),
  });
  const others = new Map([
    [peer('equal'), other(1)],
    [peer('off'), other(1.01)],
    [peer('broken'), other(Number.NaN)],
  ]);
  const options = { rounds: 1, seconds: 20, signal: new AbortController().signal };
  const { rows } = await compareWork(training, new Ours(gpu), others, options);
  expect(rows.map(({ oursError }) => oursError)).toEqual([null, null, null]);
  expect(rows[0]?.peerError).toBe(0);
  expect(rows[1]?.peerError).toBeCloseTo(0.01, 6);
  expect(rows[2]?.peerError).toBe(Number.POSITIVE_INFINITY);
});

/** Plain loops as another engine: right, or off by `offset`. */
const plainLoops = (offset: number): Implementation => ({
  description: 'plain loops',
  prepare: async (work) => {
    if (work.kind !== 'matmul') throw new Error('has no attention');
    const { a, b } = matmulInputs(work);
    const compute = () => matmulReference(a, b, work.m, work.k, work.n).map((value) => value + offset);
    return { run: () => timed(async () => compute()), output: async () => compute(), dispose: () => undefined };
  },
});

const peer = (name: string): Peer => ({ name, worker: 'jax', packages: {}, judged: true, does: () => true });

it('compares with engines that take part and tells of those that do not', async () => {
  const gpu = await sharedGpu();
  const options = { rounds: 2, seconds: 20, signal: new AbortController().signal };
  const others = new Map([
    [peer('right'), plainLoops(0)],
    [peer('wrong'), plainLoops(0.5)],
  ]);
  const { rows, unmeasured } = await compareWork(matmul, new Ours(gpu), others, options);
  expect(rows.map((row) => [row.work, row.peer])).toEqual([
    ['matmul f32 33x40x50', 'right'],
    ['matmul f32 33x40x50', 'wrong'],
  ]);
  expect(unmeasured).toEqual([]);
  const [right, wrong] = rows;
  expect(right?.peerError).toBeLessThan(1e-12);
  expect(wrong?.peerError).toBeGreaterThan(0.01);
  expect(right?.peerMs.n).toBe(2);
  const hurried = await compareWork(matmul, new Ours(gpu), others, { ...options, seconds: 1e-6 });
  expect(hurried.rows.map(({ peerMs, oursMs }) => [peerMs.n, oursMs.n])).toEqual([
    [1, 1],
    [1, 1],
  ]);
  expect(right?.ratio).toBe((right?.peerMs.median ?? 0) / (right?.oursMs.median ?? 1));
  const absence = { work: 'attention causal N=70, 4/2 heads of 16', status: 'refused', reason: 'has no attention' };
  expect(await compareWork({ ...attention, causal: true }, new Ours(gpu), others, options)).toEqual({
    rows: [],
    unmeasured: [
      { ...absence, peer: 'right' },
      { ...absence, peer: 'wrong' },
    ],
  });
});

it('goes on without an engine that fails or stalls in a later run, or has no result', async () => {
  const gpu = await sharedGpu();
  const failing = (call: number, error: Error): Implementation => {
    let calls = 0;
    const next = async () => {
      if (++calls === call) throw error;
      return 1;
    };
    return {
      description: 'fails once',
      prepare: async () => ({ run: next, output: async () => [await next()], dispose: () => undefined }),
    };
  };
  const others = new Map([
    [peer('late'), failing(3, new PeerTimeoutError('late', 30))],
    [peer('right'), plainLoops(0)],
    [peer('mute'), failing(5, new Error('lost its result'))],
  ]);
  const options = { rounds: 2, seconds: 20, signal: new AbortController().signal };
  const { rows, unmeasured } = await compareWork(matmul, new Ours(gpu), others, options);
  expect(rows.map((row) => [row.peer, row.peerMs.n])).toEqual([['right', 2]]);
  expect(unmeasured).toEqual([
    { work: workName(matmul), peer: 'late', status: 'timed out', reason: 'late: no answer within 30 s' },
    { work: workName(matmul), peer: 'mute', status: 'refused', reason: 'lost its result' },
  ]);
});

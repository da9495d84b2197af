import { sharedGpu } from '@saccade/core/testing';
import { expect, it } from 'vitest';
import { catalog } from '../src/catalog.ts';
import { planRun } from '../src/plan.ts';
import type { ResultRow } from '../src/result-file/types.ts';
import { runScenario } from '../src/run-scenario.ts';

async function rowsOf(name: string, lengths: readonly number[], methods: readonly string[] = []): Promise<ResultRow[]> {
  const gpu = await sharedGpu();
  const before = gpu.stats().liveBytes;
  const plan = planRun(catalog, { scenarios: [name], models: [], methods, lengths, repeats: 1, seed: 0, quick: true });
  const rows: ResultRow[] = [];
  for (const { model: _, ...item } of plan.items) {
    const run = { ...item, ...plan, gpu, signal: new AbortController().signal, progress: { total() {}, advance() {} } };
    for await (const row of runScenario(run)) rows.push(row);
  }
  expect(gpu.stats().liveBytes).toBe(before);
  return rows;
}

it('gna/simulator: the published figures', async () => {
  const rows = await rowsOf('gna/simulator', [1]);
  expect(rows.length).toBe(13);
  for (const { status, quality, speed } of rows) {
    expect(status).toBe('ok');
    expect(quality.relativeError).toBeLessThan(0.006);
    expect(speed.speedup).toBeGreaterThan(1.4);
  }
});

it('diffusion/attention: densities are those that the kernels count', { timeout: 180_000 }, async () => {
  const rows = await rowsOf(
    'diffusion/attention',
    [256],
    ['gna-kernel', 'plain-window', 'sparsed-step', 're-ttention-step'],
  );
  expect(rows.map(({ method, density, options }) => [method, density, options.tokens])).toEqual([
    ['dense', 1, 256],
    ['gna-kernel', 0.25, 256],
    ['plain-window', expect.any(Number), 256],
    ['sparsed-step', 0.25, 256],
    ['re-ttention-step', expect.any(Number), 256],
  ]);
  const [, , plain, , reTtention] = rows.map(({ density }) => density as number) as [
    number,
    number,
    number,
    number,
    number,
  ];
  expect(plain).toBeLessThan(0.5);
  // Its window has a key more, as many to both sides.
  expect(reTtention - plain).toBeGreaterThan(0);
  expect(reTtention - plain).toBeLessThan(1 / 256);
  for (const { status, speed } of rows) {
    expect(status).toBe('ok');
    expect(speed.attentionMs?.median).toBeGreaterThan(0);
  }
});

it('gna/speed: a perfect setting reads what the simulator says', { timeout: 180_000 }, async () => {
  const rows = await rowsOf('gna/speed', [1024]);
  expect(rows.map(({ options }) => [options.part, options.perfect])).toEqual([
    [undefined, undefined],
    ['whole', true],
    ['kernel', true],
    ['whole', false],
    ['kernel', false],
  ]);
  for (const { density, options, speed } of rows.slice(1)) {
    expect(density).toBeCloseTo(1 / (options.predicted as number), 6);
    expect(speed.shareOfPredicted).toBeGreaterThan(0);
  }
});

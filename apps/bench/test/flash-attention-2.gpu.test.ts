import { sharedGpu } from '@saccade/core/testing';
import { expect, it } from 'vitest';
import { catalog } from '../src/catalog.ts';
import { planRun } from '../src/plan.ts';
import type { ResultRow } from '../src/result-file/types.ts';
import { runScenario } from '../src/run-scenario.ts';

const name = 'flash-attention-2/length';

it('measures three schedules forward and backward, and leaves nothing behind', async () => {
  const gpu = await sharedGpu();
  const before = gpu.stats().liveBytes;
  const request = { scenarios: [name], models: [], methods: [], lengths: [96], repeats: 1, seed: 0, quick: true };
  const plan = planRun(catalog, request);
  const rows: ResultRow[] = [];
  for (const { model: _, ...item } of plan.items) {
    const run = { ...item, ...plan, gpu, signal: new AbortController().signal, progress: { total() {}, advance() {} } };
    for await (const row of runScenario(run)) rows.push(row);
  }
  expect(rows.map(({ method, options, status }) => [method, options.pass, status])).toEqual(
    ['forward', 'forward+backward'].flatMap((pass) =>
      ['dense', 'flash-attention-1', 'flash-attention-2'].map((method) => [method, pass, 'ok']),
    ),
  );
  for (const { speed, memory } of rows) {
    expect(speed.attentionMs?.median).toBeGreaterThan(0);
    expect(memory.peakBytes).toBeGreaterThan(4 * 4 * 2 * 96 * 64);
  }
  expect(gpu.stats().liveBytes).toBe(before);
});

import { sharedGpu } from '@saccade/core/testing';
import { expect, it } from 'vitest';
import { catalog } from '../src/catalog.ts';
import { planRun } from '../src/plan.ts';
import type { ResultRow } from '../src/result-file/types.ts';
import { runScenario } from '../src/run-scenario.ts';

/** Rows of one scenario of the bare engine; nothing of it stays in memory. */
async function rowsOf(scenario: string, length: number): Promise<ResultRow[]> {
  const gpu = await sharedGpu();
  const before = gpu.stats().liveBytes;
  const request = {
    scenarios: [scenario],
    models: [],
    methods: [],
    lengths: [length],
    repeats: 1,
    seed: 0,
    quick: true,
  };
  const plan = planRun(catalog, request);
  const rows: ResultRow[] = [];
  for (const { model: _, ...item } of plan.items) {
    const run = { ...item, ...plan, gpu, signal: new AbortController().signal, progress: { total() {}, advance() {} } };
    for await (const row of runScenario(run)) rows.push(row);
  }
  expect(gpu.stats().liveBytes).toBe(before);
  return rows;
}

it('holds lists to the share of rows that they load, by the kernel’s own count', async () => {
  const rows = await rowsOf('attention/list-density', 256);
  expect(rows.map(({ method, density }) => [method, density])).toEqual([
    ['dense', 1],
    ['token-list-share', 1 / 2],
    ['token-list-share', 1 / 16],
    ['empty-list', 0],
  ]);
  expect(rows[1]?.message).toMatch(/^\d+\.\d\d x density x dense$/);
  expect(rows[2]?.message).toMatch(/without the .* ms of empty lists$/);
});

it('holds the choice of tokens to the dense attention', async () => {
  const rows = await rowsOf('attention/top-k', 512);
  expect(rows.map(({ method, status }) => [method, status])).toEqual([
    ['dense', 'ok'],
    ['top-k', 'ok'],
  ]);
  expect(rows[1]?.message).toMatch(/% of the dense/);
});

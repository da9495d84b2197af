import { fileURLToPath } from 'node:url';
import { type Method, type ModelHandle, scale } from '@saccade/core';
import { sharedGpu } from '@saccade/core/testing';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { MethodEntry } from '../src/method-entry.ts';
import type { ModelEntry } from '../src/model-entry.ts';
import { modelFromPath } from '../src/models/model-from-path.ts';
import { planRun } from '../src/plan.ts';
import { Registry } from '../src/registry.ts';
import type { Picture, ResultRow } from '../src/result-file/types.ts';
import { runScenario } from '../src/run-scenario.ts';
import type { Scenario } from '../src/scenario.ts';
import { visionCost, visionDescribe, visionExistence, visionHard } from '../src/scenarios/index.ts';

/** A random checkpoint in SmolVLM's layout: what it says means nothing, so that only the tables themselves are tested. */
const folder = fileURLToPath(new URL('../../../packages/models/test/golden/idefics3', import.meta.url));

/** A method for tables: it halves what attention adds. */
const halving: MethodEntry = {
  name: 'halving',
  title: 'Halving',
  description: 'Halves what attention adds.',
  role: 'method',
  phases: ['prefill', 'decode'],
  needs: 'vision',
  options: {},
  create: (): Method => ({
    name: 'halving',
    options: {},
    phases: ['prefill', 'decode'],
    requires: { spans: ['image'] },
    afterAttention: (_, result) => ({ output: scale(result.output, 0.5) }),
  }),
};

/** A procedure for tables. */
const always: MethodEntry = {
  ...halving,
  name: 'always-yes',
  title: 'Always yes',
  description: 'Says yes.',
  create: () => undefined,
  answer: () => async () => ' yes ',
};

let entry: ModelEntry;
let model: ModelHandle;
beforeAll(async () => {
  const gpu = await sharedGpu();
  entry = modelFromPath(folder) as ModelEntry;
  const { signal } = new AbortController();
  model = await entry.load(gpu, { signal, onProgress: () => {}, log: () => {} });
});
afterAll(() => model.dispose());

async function rowsOf(scenario: Scenario, methods: readonly string[] = [], repeats = 2) {
  const gpu = await sharedGpu();
  const registry = new Registry({ scenarios: [scenario], methods: [halving, always], models: [entry] });
  const request = { scenarios: [scenario.name], models: [], methods, repeats, seed: 3, quick: true };
  const plan = planRun(registry, request);
  const rows: ResultRow[] = [];
  const pictures: Picture[] = [];
  for (const { model: _, ...item } of plan.items) {
    const settings = { dense: plan.dense, seed: 3, quick: true, signal: new AbortController().signal };
    const progress = { total: () => {}, advance: () => {} };
    const onPicture = (picture: Picture) => pictures.push(picture);
    const own = { name: 'random', handle: model };
    for await (const row of runScenario({ ...item, ...settings, model: own, gpu, progress, onPicture })) rows.push(row);
  }
  return { rows, pictures };
}

const estimate = (measure: unknown) => (measure as { value: number }).value;

it('a folder with a vision model is a model that sees', () => {
  expect(entry.family).toBe('vision');
});

it('existence has a row per method and kind of absent nouns', async () => {
  const before = (await sharedGpu()).stats().liveBytes;
  const { rows } = await rowsOf(visionExistence);
  expect(rows.map(({ message }) => message)).toEqual(rows.map(() => undefined));
  expect(rows.map(({ method, options }) => `${method} ${options.negatives}`)).toEqual(
    ['dense', 'halving', 'always-yes', 'blind', 'usual-answer'].flatMap((method) =>
      ['random', 'popular', 'adversarial'].map((negatives) => `${method} ${negatives}`),
    ),
  );
  const yes = rows.find(({ method }) => method === 'always-yes') as ResultRow;
  expect(estimate(yes.quality.accuracy)).toBe(0.5);
  expect(estimate(yes.quality.recall)).toBe(1);
  expect(estimate(yes.quality.yesRatio)).toBe(1);
  expect(estimate(yes.quality.f1)).toBeCloseTo(2 / 3, 12);
  expect((await sharedGpu()).stats().liveBytes).toBe(before);
});

it('descriptions are scored', async () => {
  const { rows } = await rowsOf(visionDescribe, ['dense', 'always-yes', 'usual-answer']);
  expect(rows.map(({ status }) => status)).toEqual(['ok', 'ok', 'ok']);
  expect(estimate(rows[1]?.quality.recall)).toBe(0);
  expect(estimate(rows[1]?.quality.words)).toBe(1);
});

it('hard scenes have rows by level and by kind, and pictures of attention', async () => {
  const { rows, pictures } = await rowsOf(visionHard, ['halving', 'usual-answer'], 1);
  expect(rows).toHaveLength(3 * (5 + 6));
  expect(rows.every(({ status }) => status === 'ok')).toBe(true);
  const usual = rows.filter(({ method, options }) => method === 'usual-answer' && options.questions === 'relation');
  expect(usual).toHaveLength(1);
  // Two scenes, each without and with the method.
  expect(pictures).toHaveLength(4);
  for (const picture of pictures) expect('png' in picture && picture.png).toMatch(/^iVBOR/);
  expect(new Set(pictures.map((picture) => 'png' in picture && picture.png)).size).toBe(4);
});

it('cost has times, cache bytes and what they are against greedy decoding', async () => {
  const { rows } = await rowsOf(visionCost, ['halving', 'always-yes']);
  const [dense, halved, yes] = rows as [ResultRow, ResultRow, ResultRow];
  expect(rows.map(({ status }) => status)).toEqual(['ok', 'ok', 'ok']);
  expect(dense.speed.speedup).toBeUndefined();
  expect(halved.speed.speedup).toBeDefined();
  expect(halved.memory.cacheBytes).toBe(dense.memory.cacheBytes);
  expect(dense.memory.cacheBytes).toBeGreaterThan(0);
  expect(yes.speed.decodeMsPerToken).toBeUndefined();
});

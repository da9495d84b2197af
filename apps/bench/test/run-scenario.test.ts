import { type Gpu, RefusedError } from '@saccade/core';
import { describe, expect, it } from 'vitest';
import { planRun, type RunRequest } from '../src/plan.ts';
import type { ResultRow } from '../src/result-file/types.ts';
import { runScenario } from '../src/run-scenario.ts';
import type { Scenario, Variant } from '../src/scenario.ts';
import { picker, scenario, testRegistry } from './fixtures.ts';

const progress = { total() {}, advance() {} };

/** The rows of one scenario. */
async function rowsOf(tested: Scenario, changes: Partial<RunRequest> = {}, signal = new AbortController().signal) {
  const plan = planRun(testRegistry([tested]), {
    scenarios: [tested.name],
    models: [],
    methods: [],
    seed: 3,
    quick: false,
    ...changes,
  });
  const rows: ResultRow[] = [];
  // The fixtures' measurements touch neither GPU nor model.
  const gpu = undefined as unknown as Gpu;
  for (const { model: _, ...item } of plan.items) {
    for await (const row of runScenario({ ...item, ...plan, gpu, signal, progress })) {
      rows.push(row);
    }
  }
  return rows;
}

describe('runScenario', () => {
  it('puts the dense run first and each budget after it, at each length', async () => {
    const rows = await rowsOf(scenario('language/one', 'language'), { methods: ['picker'] });
    const cells = rows.map(({ method, budget, options }) => [method, budget, options.topK, options.contextLength]);
    expect(cells).toEqual([
      ['dense', null, undefined, 128],
      ['picker', 0.1, 13, 128],
      ['picker', 0.5, 64, 128],
      ['dense', null, undefined, 512],
      ['picker', 0.1, 51, 512],
      ['picker', 0.5, 256, 512],
    ]);
    expect(rows[1]).toMatchObject({ baseline: 'dense', seed: 3, samples: 5, status: 'ok', quality: { accuracy: 1 } });
    expect(rows[0]?.baseline).toBeNull();
    expect(rows[1]?.options).toEqual({ topK: 13, per: 'queryHead', contextLength: 128 });
  });

  it('runs once where the option that a budget sets was given', async () => {
    const rows = await rowsOf(scenario('language/one', 'language'), { methods: ['picker:topK=7'], lengths: [64] });
    expect(rows.map(({ method, budget, options }) => [method, budget, options.topK])).toEqual([
      ['dense', null, undefined],
      ['picker', null, 7],
    ]);
  });

  it('turns an error of one measurement into a row and goes on', async () => {
    const failing = scenario('language/one', 'language', {
      dense: () => 1,
      picker: () => {
        throw new Error('broken');
      },
    });
    const rows = await rowsOf(failing, { lengths: [64], budgets: [0.5] });
    expect(rows.map(({ method, status, message }) => [method, status, message])).toEqual([
      ['dense', 'ok', undefined],
      ['picker', 'failed', 'broken'],
    ]);
    expect(rows[1]).toMatchObject({ quality: {}, speed: {}, memory: {}, density: null, samples: 0, budget: 0.5 });
  });

  it('calls a refusal refused', async () => {
    const refusing = scenario('language/one', 'language', {
      picker: () => {
        throw new RefusedError('it does not fit');
      },
    });
    const rows = await rowsOf(refusing, { lengths: [64], budgets: [0.5] });
    expect(rows[1]).toMatchObject({ status: 'refused', message: 'it does not fit' });
  });

  it('fails a row of any scenario that is over 110% of a peak twice', async () => {
    const shares = [0.9, 1.2, 1.3];
    const second = [0.9, 1, 1.2];
    const claiming: Scenario = {
      ...scenario('language/one', 'language'),
      async *run(context) {
        for (const [index, share] of shares.entries()) {
          yield await context.measure(context.variants(64)[0] as Variant, {}, async () => ({
            quality: {},
            speed: {},
            peak: { share, measureAgain: async () => second[index] as number },
            memory: {},
            density: null,
            samples: 1,
          }));
        }
      },
    };
    const rows = await rowsOf(claiming, { lengths: [64], budgets: [0.5] });
    expect(rows.map(({ status, speed }) => [status, speed.shareOfPeak])).toEqual([
      ['ok', 0.9],
      ['ok', 1],
      ['failed', undefined],
    ]);
    expect(rows[2]?.message).toMatch(/120% of its peak in two runs/);
  });

  it('reports a scenario that breaks itself', async () => {
    const breaking: Scenario = {
      ...scenario('language/one', 'language'),
      // biome-ignore lint/correctness/useYield: it breaks before its first row
      async *run() {
        throw new Error('no data');
      },
    };
    expect(await rowsOf(breaking)).toMatchObject([{ method: 'dense', status: 'failed', message: 'no data' }]);
  });

  it('stops at an abort', async () => {
    const abort = new AbortController();
    const aborting = scenario('language/one', 'language', {
      picker: () => {
        abort.abort(new Error('stop'));
        return 1;
      },
    });
    await expect(rowsOf(aborting, {}, abort.signal)).rejects.toThrow('stop');
  });

  it('makes the method of a variant with its full options', async () => {
    const made: unknown[] = [];
    const making: Scenario = {
      ...scenario('language/one', 'language'),
      async *run(context) {
        for (const variant of context.variants(100)) {
          made.push(variant.create()?.options);
          yield await context.measure(variant, {}, async () => ({
            quality: {},
            speed: {},
            memory: {},
            density: null,
            samples: 0,
          }));
        }
      },
    };
    await rowsOf(making, { methods: ['picker:per=kvHead'], budgets: [0.25] });
    expect(picker.options.per.default).toBe('queryHead');
    expect(made).toEqual([undefined, { topK: 25, per: 'kvHead' }]);
  });
});

import { describe, expect, it } from 'vitest';
import { planRun, type RunRequest } from '../src/plan.ts';
import { UsageError } from '../src/usage-error.ts';
import { lister, scenario, testRegistry } from './fixtures.ts';

const registry = testRegistry([
  scenario('language/one', 'language'),
  scenario('language/two', 'language'),
  scenario('vision/one', 'vision'),
  scenario('engine/lists', 'none', {}, [lister]),
]);

const request: RunRequest = { scenarios: ['language/one'], models: [], methods: [], seed: 0, quick: false };

/** Plans the request with some changes. */
const plan = (changes: Partial<RunRequest>) => planRun(registry, { ...request, ...changes });

const names = (changes: Partial<RunRequest>) => plan(changes).items[0]?.methods.map(({ entry }) => entry.name);

describe('planRun', () => {
  it('takes every method that fits, and the first model', () => {
    expect(names({})).toEqual(['dense', 'picker']);
    expect(names({ scenarios: ['engine/lists'] })).toEqual(['dense', 'lister']);
    expect(plan({}).items[0]?.model?.name).toBe('absent-model');
    expect(plan({ scenarios: ['engine/lists'] }).items[0]?.model).toBeUndefined();
  });

  it('leaves methods that need images, and models that see, to scenarios with images', () => {
    expect(names({ scenarios: ['vision/one'] })).toEqual(['dense', 'picker', 'seer']);
    expect(plan({ scenarios: ['vision/one'] }).items[0]?.model?.name).toBe('absent-eye');
    expect(() => plan({ scenarios: ['vision/one'], models: ['absent-model'] })).toThrow(/a model of the family vision/);
    expect(() => plan({ methods: ['seer'] })).toThrow(/seer fits none/);
  });

  it('takes the full settings, the quick ones, or what was asked for', () => {
    expect(plan({}).items[0]).toMatchObject({ lengths: [128, 512], budgets: [0.1, 0.5], repeats: 5 });
    expect(plan({ quick: true }).items[0]).toMatchObject({ lengths: [128], budgets: [0.5], repeats: 2 });
    const asked = { lengths: [64], budgets: [0.2], repeats: 9 };
    expect(plan({ quick: true, ...asked }).items[0]).toMatchObject(asked);
  });

  it('says what quick leaves out, and only that', () => {
    expect(plan({ quick: true }).leftOut).toEqual(['language/one: lengths 512; budgets 0.1; 3 of 5 repeats']);
    expect(plan({ quick: true, lengths: [64], repeats: 2 }).leftOut).toEqual(['language/one: budgets 0.1']);
    expect(plan({ quick: true, lengths: [64], repeats: 2, budgets: [1] }).leftOut).toEqual([]);
    expect(plan({}).leftOut).toEqual([]);
  });

  it('reads method options by their schema', () => {
    const [item] = plan({ methods: ['picker:topK=12,per=kvHead'] }).items;
    expect(item?.methods[0]?.given).toEqual({ topK: 12, per: 'kvHead' });
  });

  it('takes greedy as dense', () => {
    expect(names({ methods: ['greedy'] })).toEqual(['dense']);
  });

  it('leaves a method to the scenarios that it fits', () => {
    const items = plan({ scenarios: ['language/one', 'engine/lists'], methods: ['lister', 'picker'] }).items;
    const methods = items.map(({ scenario: { name }, methods: all }) => [name, all.map(({ entry }) => entry.name)]);
    expect(methods).toEqual([
      ['language/one', ['picker']],
      ['engine/lists', ['lister']],
    ]);
  });

  it.each<[string, Partial<RunRequest>, RegExp]>([
    ['a scenario', { scenarios: ['language/ones'] }, /no scenario "language\/ones".*language\/one\b/],
    ['a method', { methods: ['pikcer'] }, /no method "pikcer".*picker/],
    ['a model', { models: ['absent-modle'] }, /no model "absent-modle".*absent-model/],
    ['an option', { methods: ['picker:topk=1'] }, /method picker.*"topk".*topK/],
    ['an option value', { methods: ['picker:topK=0'] }, /topK: got 0; allowed: an integer >= 1/],
    ['a method that does not fit', { methods: ['squeezer'] }, /squeezer fits none.*dense, picker/],
    ['a stranger', { methods: ['zzzzzzzz'] }, /Known: dense, picker, seer, squeezer/],
  ])('refuses %s that is wrong', (_, changes, message) => {
    expect(() => plan(changes)).toThrow(UsageError);
    expect(() => plan(changes)).toThrow(message);
  });
});

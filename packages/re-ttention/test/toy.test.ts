import { relativeError } from '@saccade/core';
import { describe, expect, it } from 'vitest';
import { cacheOf, type HeadStep, keptAttention } from '../src/reference.ts';
import { perturbed, toy, toyHeads } from './toy.ts';

type Rows = readonly (readonly number[])[];

const inWindow = (query: number, key: number) => Math.abs(query - key) <= toy.half;
const full = (heads: readonly HeadStep[]) => heads.map((head) => keptAttention(head, () => true));
const part = (heads: readonly HeadStep[]) => heads.map((head) => keptAttention(head, inWindow));
const outputs = (heads: readonly { readonly output: Rows }[]) => heads.flatMap(({ output }) => output).flat();

/** Rows scaled by a number each. */
function scaled(rows: Rows, factors: readonly number[]): number[][] {
  return rows.map((row, query) => row.map((x) => x * (factors[query] as number)));
}

describe('check 4: the toy', () => {
  for (const [name, structured, epsilons] of [
    ['of attention that follows positions', true, [0.1, 0.4]],
    ['of attention that follows nothing', false, [0.1]],
  ] as const) {
    it(`${name}: sparse attention errs more than with the plain residual, and that more than Re-ttention`, () => {
      const before = toyHeads(structured);
      const [oldFull, oldPart] = [full(before), part(before)];
      const caches = oldFull.map((own, head) => cacheOf(own, oldPart[head] as (typeof oldPart)[0]));
      for (const epsilon of epsilons) {
        const now = perturbed(before, epsilon);
        const exact = outputs(full(now));
        const window = part(now);
        const error = (estimate: (head: number) => Rows) =>
          relativeError(exact, now.flatMap((_, head) => estimate(head)).flat());
        const own = (head: number) => window[head]?.output as Rows;
        const cache = (head: number) => caches[head] as (typeof caches)[0];
        const plus = (a: Rows, b: Rows, sign = 1) =>
          a.map((row, query) => row.map((x, at) => x + sign * (b[query]?.[at] as number)));
        const old = (of: typeof oldFull, head: number) => of[head]?.output as Rows;
        const sparse = error(own);
        const ratioOnly = error((head) => scaled(own(head), cache(head).ratio));
        const plain = error((head) => plus(own(head), plus(old(oldFull, head), old(oldPart, head), -1)));
        const reused = error((head) => old(oldFull, head));
        const reTtention = error((head) => plus(scaled(own(head), cache(head).ratio), cache(head).residual));
        expect(sparse).toBeGreaterThan(plain);
        expect(plain).toBeGreaterThan(reTtention);
        expect(ratioOnly).toBeGreaterThan(reTtention);
        expect(reused).toBeGreaterThan(reTtention);
      }
    });
  }
});

describe('check 6: the ratio', () => {
  it('times the window’s output is what the dense probabilities give its keys', () => {
    const [head] = toyHeads(true) as [HeadStep, ...HeadStep[]];
    const all = keptAttention(head, () => true);
    const window = keptAttention(head, inWindow);
    const masked = head.q.map((row, query) => {
      const scores = head.k.map(
        (key) => key.reduce((sum, x, at) => sum + x * (row[at] as number), 0) / Math.sqrt(toy.headSize),
      );
      const maximum = Math.max(...scores);
      const weights = scores.map((score) => Math.exp(score - maximum) / (all.denominators[query] as number));
      return row.map((_, at) =>
        weights.reduce((sum, weight, key) => (inWindow(query, key) ? sum + weight * (head.v[key]?.[at] ?? 0) : sum), 0),
      );
    });
    const own = scaled(window.output, cacheOf(all, window).ratio);
    expect(relativeError(masked.flat(), own.flat())).toBeLessThan(1e-12);
  });

  it('comes closer to the dense output than renormalising where the masked mass is spread evenly', () => {
    // Values without a mean, so that what is masked adds up to little.
    const [{ q, k, v }] = toyHeads(false) as [HeadStep, ...HeadStep[]];
    const means = v[0]?.map((_, at) => v.reduce((sum, row) => sum + (row[at] as number), 0) / v.length) ?? [];
    const head = { q, k, v: v.map((row) => row.map((x, at) => x - (means[at] as number))) };
    const all = keptAttention(head, () => true);
    const window = keptAttention(head, inWindow);
    const exact = all.output.flat();
    const own = scaled(window.output, cacheOf(all, window).ratio).flat();
    const renormalised = window.output.flat();
    const norm = (values: readonly number[]) => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0));
    const stretch = (values: readonly number[]) => Math.abs(Math.log(norm(values) / norm(exact)));
    expect(relativeError(exact, own)).toBeLessThan(relativeError(exact, renormalised));
    expect(stretch(own)).toBeLessThan(stretch(renormalised));
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ArgumentError } from '../src/errors.ts';
import {
  agreement,
  bootstrapMean,
  bootstrapMedianRatio,
  bootstrapStatistic,
  klDivergence,
  klPerRow,
  mean,
  median,
  quantile,
  relativeError,
  studentInterval,
  summarizeTimings,
  wilsonInterval,
} from '../src/statistics/index.ts';

describe('quantile', () => {
  it('interpolates as NumPy does', () => {
    // numpy.quantile([3, 1, 4, 1, 5, 9, 2, 6], [0, 0.1, 0.5, 0.9, 1])
    const sample = [3, 1, 4, 1, 5, 9, 2, 6];
    const quantiles = [0, 0.1, 0.5, 0.9, 1].map((share) => Number(quantile(sample, share).toFixed(12)));
    expect(quantiles).toEqual([1, 1, 3.5, 6.9, 9]);
    expect(sample).toEqual([3, 1, 4, 1, 5, 9, 2, 6]);
  });

  it('sorts by number, not by text', () => {
    expect(median([10, 9, 100])).toBe(10);
  });

  it('refuses what has no quantile', () => {
    expect(() => median([])).toThrow(/at least one value/);
    expect(() => median([1, Number.NaN])).toThrow(/values\[1\]/);
    expect(() => quantile([1], 1.1)).toThrow(/share/);
  });

  it('stays between the extremes and does not fall', () => {
    const sample = fc.array(fc.double({ noNaN: true, min: -1e6, max: 1e6 }), { minLength: 1 });
    fc.assert(
      fc.property(
        sample,
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (values, a, b) => {
          const [low, high] = [quantile(values, Math.min(a, b)), quantile(values, Math.max(a, b))];
          expect(low).toBeGreaterThanOrEqual(Math.min(...values));
          expect(high).toBeLessThanOrEqual(Math.max(...values));
          expect(low).toBeLessThanOrEqual(high);
        },
      ),
    );
  });
});

it('summarizes timings by median and percentiles', () => {
  expect(summarizeTimings([5, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11])).toEqual({ median: 6, p10: 2, p90: 10, n: 11 });
});

describe('studentInterval', () => {
  it('equals published values', () => {
    // R: t.test(c(1, 2, 4))$conf.int; qt(0.975, 14) = 2.144787
    const three = studentInterval([1, 2, 4]);
    expect(three.value).toBeCloseTo(7 / 3, 12);
    expect(three.low).toBeCloseTo(-1.461, 3);
    expect(three.high).toBeCloseTo(6.1276, 3);
    const many = studentInterval(Array.from({ length: 15 }, (_, at) => at));
    const error = Math.sqrt(20 / 15);
    expect(many.high).toBeCloseTo(7 + 2.144787 * error, 2);
    expect(many.low).toBeCloseTo(7 - 2.144787 * error, 2);
  });

  it('of one value is that value', () => {
    expect(studentInterval([3])).toEqual({ value: 3, low: 3, high: 3, n: 1 });
    expect(() => studentInterval([])).toThrow(ArgumentError);
  });
});

describe('wilsonInterval', () => {
  it('equals published values', () => {
    // R: prop.test(8, 10, correct = FALSE)$conf.int; prop.test(0, 20, ...); prop.test(50, 50, ...)
    const eight = wilsonInterval(8, 10);
    expect(eight.value).toBe(0.8);
    expect(eight.low).toBeCloseTo(0.4901625, 6);
    expect(eight.high).toBeCloseTo(0.9433178, 6);
    const none = wilsonInterval(0, 20);
    expect(none.low).toBe(0);
    expect(none.high).toBeCloseTo(0.1611252, 6);
    const all = wilsonInterval(50, 50);
    expect(all.low).toBeCloseTo(0.9286524, 6);
    expect(all.high).toBe(1);
  });

  it('holds its estimate and lies in [0, 1]', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5000 }), fc.double({ min: 0, max: 1, noNaN: true }), (n, share) => {
        const { value, low, high } = wilsonInterval(Math.round(share * n), n);
        expect(0 <= low && low <= value && value <= high && high <= 1).toBe(true);
      }),
    );
  });

  it('refuses counts that make no sense', () => {
    expect(() => wilsonInterval(0, 0)).toThrow(/n: got 0/);
    expect(() => wilsonInterval(3, 2)).toThrow(/successes/);
    expect(() => wilsonInterval(0.5, 2)).toThrow(/successes/);
  });
});

describe('bootstrapMean', () => {
  /** Normal deviates by Box and Muller from a fixed sequence. */
  const normal = (count: number) =>
    Array.from({ length: count }, (_, index) => {
      const u = ((index + 1) * 0.6180339887498949) % 1;
      const v = ((index + 1) * 0.7548776662466927) % 1;
      return Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * v);
    });

  it('gives the width that theory gives for a normal sample', () => {
    const sample = normal(400);
    const { value, low, high, n } = bootstrapMean(sample, { seed: 1 });
    const deviation = Math.sqrt(mean(sample.map((x) => (x - mean(sample)) ** 2)));
    const expected = (2 * 1.96 * deviation) / Math.sqrt(400);
    expect(n).toBe(400);
    expect(value).toBeCloseTo(mean(sample), 12);
    expect(high - low).toBeGreaterThan(expected * 0.9);
    expect(high - low).toBeLessThan(expected * 1.1);
  });

  it('repeats with its seed and differs with another', () => {
    const sample = normal(60);
    expect(bootstrapMean(sample, { seed: 7 })).toEqual(bootstrapMean(sample, { seed: 7 }));
    expect(bootstrapMean(sample, { seed: 7 })).not.toEqual(bootstrapMean(sample, { seed: 8 }));
  });

  it('widens for a correlated sequence when its runs are drawn together', () => {
    const correlated = normal(100).flatMap((x) => Array.from({ length: 10 }, () => x));
    const single = bootstrapMean(correlated, { seed: 2 });
    const blocks = bootstrapMean(correlated, { seed: 2, blockLength: 20 });
    // Ten equal neighbours carry the information of one: the true interval is sqrt(10) as wide.
    const ratio = (blocks.high - blocks.low) / (single.high - single.low);
    expect(ratio).toBeGreaterThan(2.3);
    expect(ratio).toBeLessThan(4);
  });

  it('transforms the mean and its interval', () => {
    const plain = bootstrapMean([1, 2, 3, 4]);
    const perplexity = bootstrapMean([1, 2, 3, 4], { transform: Math.exp });
    expect(perplexity.value).toBeCloseTo(Math.exp(2.5), 12);
    expect(perplexity.low).toBeCloseTo(Math.exp(plain.low), 12);
  });

  it('is a point for one value', () => {
    expect(bootstrapMean([3])).toEqual({ value: 3, low: 3, high: 3, n: 1 });
  });

  it('refuses bad options', () => {
    expect(() => bootstrapMean([])).toThrow(/at least one/);
    expect(() => bootstrapMean([1], { blockLength: 0 })).toThrow(/blockLength/);
    expect(() => bootstrapMean([1], { resamples: 5 })).toThrow(/resamples/);
  });
});

describe('bootstrapMedianRatio', () => {
  it('is exact where every pair has one ratio', () => {
    const times = [3, 5, 4, 9, 2];
    const { value, low, high } = bootstrapMedianRatio(
      times.map((time) => 4 * time),
      times,
    );
    expect([value, low, high]).toEqual([4, 4, 4]);
  });

  it('refuses pairs that are none', () => {
    expect(() => bootstrapMedianRatio([1, 2], [1])).toThrow(/denominator/);
    expect(() => bootstrapMedianRatio([1], [0])).toThrow(/denominator\[0\]/);
  });
});

describe('divergences', () => {
  it('klDivergence equals the sum by hand', () => {
    const p = [0.5, 0.25, 0.25];
    const q = [0.25, 0.5, 0.25];
    const expected = 0.5 * Math.log(2) + 0.25 * Math.log(0.5);
    expect(klDivergence(p.map(Math.log), q.map(Math.log))).toBeCloseTo(expected, 12);
  });

  it('klDivergence ignores a shift of the logits, also of very large ones, and is never negative', () => {
    const logits = fc.array(fc.double({ min: -300, max: 300, noNaN: true }), { minLength: 2, maxLength: 8 });
    fc.assert(
      fc.property(logits, fc.double({ min: -1e4, max: 1e4, noNaN: true }), (values, shift) => {
        expect(
          klDivergence(
            values,
            values.map((value) => value + shift),
          ),
        ).toBeLessThan(1e-8);
        expect(klDivergence(values, [...values].reverse())).toBeGreaterThanOrEqual(0);
      }),
    );
  });

  it('klPerRow goes row by row', () => {
    const rows = klPerRow(new Float32Array([0, 0, 1, 2]), new Float32Array([0, 0, 2, 1]), 2);
    expect(rows[0]).toBe(0);
    expect(rows[1]).toBeCloseTo(klDivergence([1, 2], [2, 1]), 12);
    expect(() => klPerRow(new Float32Array(4), new Float32Array(4), 3)).toThrow(/vocabulary/);
  });

  it('relativeError is the quotient of norms', () => {
    expect(relativeError([3, 4], [3, 4])).toBe(0);
    expect(relativeError([3, 4], [3, 9])).toBe(1);
    expect(relativeError([0, 0], [0, 0])).toBe(0);
    expect(() => relativeError([1], [1, 2])).toThrow(/as many/);
  });

  it('agreement counts an early end as disagreement', () => {
    expect(agreement([1, 2, 3, 4], [1, 2, 9, 4])).toBe(0.75);
    expect(agreement([1, 2, 3, 4], [1, 2])).toBe(0.5);
    expect(agreement([], [])).toBe(1);
  });
});

describe('bootstrapStatistic', () => {
  it('of means is the bootstrap of the mean, up to which numbers are drawn', () => {
    const values = Array.from({ length: 60 }, (_, index) => Math.sin(index) + index / 60);
    const sum = (some: readonly number[]) => some.reduce((total, value) => total + value, 0);
    const own = bootstrapStatistic(values, (some) => sum(some) / some.length);
    const known = bootstrapMean(values);
    expect(own.value).toBeCloseTo(known.value, 12);
    expect(own.n).toBe(60);
    expect(Math.abs(own.low - known.low)).toBeLessThan(0.02);
    expect(Math.abs(own.high - known.high)).toBeLessThan(0.02);
    expect(bootstrapStatistic(values, (some) => sum(some) / some.length)).toEqual(own);
  });

  it('is wider where what hangs together is drawn together', () => {
    const groups = Array.from({ length: 12 }, (_, index) => new Array<number>(10).fill(index % 2));
    const mean = (some: readonly number[]) => some.reduce((total, value) => total + value, 0) / some.length;
    const together = bootstrapStatistic(groups, (some) => mean(some.flat()));
    const apart = bootstrapStatistic(groups.flat(), mean);
    expect(together.value).toBe(apart.value);
    expect(together.high - together.low).toBeGreaterThan(2 * (apart.high - apart.low));
  });

  it('leaves out resamples without a value, and refuses a statistic that has none at all', () => {
    const ratio = (some: readonly number[]) => some.filter((x) => x === 2).length / some.filter((x) => x > 0).length;
    const { value, low, high } = bootstrapStatistic([0, 0, 1, 2], ratio);
    expect(value).toBe(0.5);
    expect([low, high]).toEqual([0, 1]);
    expect(() => bootstrapStatistic([0, 0], ratio)).toThrow(/statistic/);
    expect(() => bootstrapStatistic([], ratio)).toThrow(/samples/);
    expect(() => bootstrapStatistic([1], ratio, { resamples: 3 })).toThrow(/resamples/);
  });
});

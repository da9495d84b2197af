import { ArgumentError, OptionError } from '@saccade/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  accountFor,
  checkCascade,
  gpt2Medium,
  gpt2Small,
  keptCount,
  type LayerTrace,
  linearSchedule,
  quickSelectTopK,
  spatten,
} from '../src/index.ts';

describe('schedules', () => {
  it('check 3: 1,024 tokens at the published shares are 921, 819, 716, 614, 307, 204, 102', () => {
    const shares = [0.9, 0.8, 0.7, 0.6, 0.3, 0.2, 0.1];
    expect(shares.map((share) => keptCount(share, 1024))).toEqual([921, 819, 716, 614, 307, 204, 102]);
  });

  it('check 3: the published tables of GPT-2 give their counts, and never rise', () => {
    const counts = (shares: readonly number[]) => shares.map((share) => keptCount(share, 1024));
    expect(counts(gpt2Small.tokenKeep)).toEqual([921, 716, 204, 204, 204, 204, 102, 102, 102, 102, 102, 102]);
    expect(counts(gpt2Medium.tokenKeep)).toEqual([
      1024, 1024, 921, 819, 819, 614, 614, 614, 614, 614, 614, 307, 307, 307, 307, 307, 307, 307, 307, 307, 307, 307,
      307, 307,
    ]);
    const heads = gpt2Medium.headKeep.map((share) => keptCount(share, 16));
    expect(heads).toEqual([...new Array(16).fill(16), ...new Array(6).fill(13), 10, 10]);
    // Of the tables, too: floor(r_v keys).
    expect(keptCount(gpt2Small.valueKeep, 921)).toBe(184);
    checkCascade('tokenKeep', gpt2Small.tokenKeep, 12);
    checkCascade('tokenKeep', gpt2Medium.tokenKeep, 24);
  });

  it('rise linearly about their mean behind the free layers', () => {
    const shares = linearSchedule(20, { average: 0.5, freeFraction: 0.15 });
    expect(shares.slice(0, 3)).toEqual([1, 1, 1]);
    expect(shares[3]).toBeCloseTo(0.75);
    expect(shares[19]).toBeCloseTo(0.25);
    expect(shares.slice(3).reduce((sum, share) => sum + share, 0) / 17).toBeCloseTo(0.5);
    expect(linearSchedule(4, { average: 1, freeFraction: 0 })).toEqual([1, 1, 1, 1]);
    expect(linearSchedule(4, { average: 0.4, freeFraction: 0.5, start: 0.6 })).toEqual([1, 1, 0.4, 0.4]);
  });

  it('are refused where they rise, or do not fit the model, by name', () => {
    expect(() => checkCascade('tokenKeep', [1, 0.5, 0.6], 3)).toThrow(/tokenKeep\[2\].*0.6.*at most 0.5/);
    expect(() => checkCascade('tokenKeep', [1, 0], 2)).toThrow(/tokenKeep\[1\].*0/);
    expect(() => checkCascade('headKeep', [1], 2)).toThrow(/headKeep.*1 shares.*2 layers/);
    expect(() => linearSchedule(4, { average: 0, freeFraction: 0 })).toThrow(ArgumentError);
    expect(() => linearSchedule(4, { average: 0.1, freeFraction: 0, start: 0.1 })).toThrow(/start/);
    expect(() => spatten({ averageTokenKeep: 1.5 })).toThrow(OptionError);
    expect(() => spatten({ tokenKeep: [2] })).toThrow(/tokenKeep/);
    expect(() => spatten({ averageTokenKeep: 0 })).toThrow(/averageTokenKeep.*0.*above 0/);
    expect(() => spatten({ valueKeep: 0 })).toThrow(/valueKeep/);
    expect(() => spatten({ highBits: 5 })).toThrow(/highBits.*5.*even/);
    expect(() => spatten({ highBits: 8, lowBits: 6 })).toThrow(/lowBits.*6.*up to 4/);
  });
});

describe('quick-select', () => {
  it('check 6: keeps exactly k, the largest, of equal ones the first', () => {
    expect([...quickSelectTopK([0.6, 0.1, 0.5, 1.2, 0.6], 3)]).toEqual([0, 3, 4]);
    expect([...quickSelectTopK([2, 2, 2, 2], 2)]).toEqual([0, 1]);
    expect([...quickSelectTopK([1, 3], 0)]).toEqual([]);
    expect(() => quickSelectTopK([1], 2)).toThrow(/k: got 2/);
  });

  it('check 6: equals sorting on 1,000 random arrays', () => {
    const values = fc.array(fc.integer({ min: -20, max: 20 }), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(values, fc.nat(60), fc.nat(), (array, wanted, seed) => {
        const k = Math.min(wanted, array.length);
        const order = array
          .map((_, index) => index)
          .sort((a, b) => (array[b] as number) - (array[a] as number) || a - b);
        expect([...quickSelectTopK(array, k, seed)]).toEqual(order.slice(0, k).sort((a, b) => a - b));
      }),
      { numRuns: 1000 },
    );
  });
});

describe('accounting', () => {
  const facts = { heads: 12, kvHeads: 12, headSize: 64 };
  const layer = (at: number, keys: number, values: number, kvHeads = 12): LayerTrace => {
    return { layer: at, phase: 'decode', queries: 1, allKeys: 1024, keys, kvHeads, values };
  };

  const half = { keyBits: 16, valueBits: 16, denseBits: 16 };

  it('of a dense run saves nothing', () => {
    const account = accountFor([layer(0, 1024, 1024)], facts);
    expect(account).toMatchObject({ trafficReduction: 1, computationReduction: 1 });
    expect(account.keyBytes).toBe(12 * 1024 * 64 * 4);
  });

  it('counts rows per key/value head, values per query head, and heads that are left', () => {
    const account = accountFor([layer(0, 100, 20, 6)], facts, half);
    expect(account.keyBytes).toBe(6 * 100 * 64 * 2);
    expect(account.valueBytes).toBe(6 * 20 * 64 * 2);
    expect(account.trafficReduction).toBeCloseTo((2 * 12 * 1024) / (6 * 120));
    const progressive = { ...half, keyBits: 6, refetchBits: 10, refetchShare: 0.25 };
    expect(accountFor([layer(0, 100, 20, 6)], facts, progressive).keyBytes).toBe((6 * 100 * 64 * 8.5) / 8);
    const grouped = accountFor([layer(0, 100, 20, 3)], { ...facts, kvHeads: 3 }, half);
    expect(grouped.valueBytes).toBe(12 * 20 * 64 * 2);
  });
});

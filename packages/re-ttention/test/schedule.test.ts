import { readFileSync } from 'node:fs';
import { OptionError, optionsTable, parseOptions } from '@saccade/core';
import { optionRows } from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import {
  attentionShare,
  cogVideoX,
  framewiseWindowMask,
  hunyuanDit,
  keptKeys,
  pixArt,
  type ReTtentionOptions,
  reTtention,
  reTtentionOptions,
  type StaticMask,
  stepKind,
  windowMask,
} from '../src/index.ts';
import { keeps } from '../src/static-mask.ts';

describe('options', () => {
  it('refuses what is out of range and names it', () => {
    expect(() => reTtention({ density: 0 })).toThrow(OptionError);
    expect(() => reTtention({ density: 1.5 })).toThrow(/density.*1\.5/);
    expect(() => reTtention({ ramp: -0.1 })).toThrow(/ramp/);
    expect(() => reTtention({ cachePeriod: 0 })).toThrow(/cachePeriod.*>= 1/);
    expect(() => windowMask(64, 0)).toThrow(/density/);
  });

  it('the README’s table of options is the schema’s', () => {
    const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
    expect(optionRows(readme)).toEqual(optionRows(optionsTable(reTtentionOptions)));
  });
});

describe('schedules', () => {
  const steps = (kind: string, count: number, options: ReTtentionOptions) =>
    Array.from({ length: count }, (_, step) => step).filter(
      (step) => stepKind(step, parseOptions(reTtentionOptions, options)) === kind,
    );

  it('check 5: PixArt’s 20 steps cache at 5, 10 and 15', () => {
    expect(steps('cache', 20, pixArt)).toEqual([5, 10, 15]);
    expect(steps('sparse', 20, pixArt)).toEqual([6, 7, 8, 9, 11, 12, 13, 14, 16, 17, 18, 19]);
  });

  it('have the published numbers of dense and sparse calls', () => {
    const count = (total: number, options: ReTtentionOptions) => steps('sparse', total, options).length;
    expect([count(20, pixArt), count(50, hunyuanDit), count(50, cogVideoX)]).toEqual([12, 32, 28]);
  });

  it('cost the published shares, and a window more in caching steps', () => {
    const share = (total: number, options: ReTtentionOptions) =>
      attentionShare(total, 1 / 32, parseOptions(reTtentionOptions, options));
    expect(share(20, pixArt)).toBeCloseTo((8 + 12 / 32 + 3 / 32) / 20, 10);
    expect(share(50, hunyuanDit)).toBeCloseTo((18 + 32 / 32 + 8 / 32) / 50, 10);
    expect(share(50, cogVideoX)).toBeCloseTo((22 + 28 / 32 + 7 / 32) / 50, 10);
  });

  it('gather at the first step behind any warm-up', () => {
    expect(steps('cache', 12, { warmupSteps: 3, cachePeriod: 5 })).toEqual([3, 5, 10]);
    expect(steps('dense', 12, { warmupSteps: 0 })).toEqual([]);
  });
});

describe('masks', () => {
  const kept = (mask: StaticMask, tokens: number, query: number) =>
    Array.from({ length: tokens }, (_, key) => key).filter((key) => keeps(mask, query, key));

  it('check 7: 129 keys of 4096 inside, 65 in the first row, 3.12% in the mean', () => {
    const mask = windowMask(4096, 1 / 32);
    expect(mask).toEqual({ kind: 'window', half: 64 });
    expect(kept(mask, 4096, 2000)).toHaveLength(129);
    expect(kept(mask, 4096, 0)).toHaveLength(65);
    expect(100 * (keptKeys(mask, 4096) / 4096 ** 2)).toBeCloseTo(3.12, 1);
  });

  it('of CogVideoX keep 785 of 17776 keys for a token inside a frame, and all for text', () => {
    const mask = framewiseWindowMask({
      frames: 13,
      tokensPerFrame: 1350,
      textTokens: 226,
      textFirst: true,
      density: 1 / 32,
    });
    expect(mask.half).toBe(21);
    expect(kept(mask, 17_776, 226 + 5 * 1350 + 600)).toHaveLength(785);
    expect(kept(mask, 17_776, 225)).toHaveLength(17_776);
    expect(kept(mask, 17_776, 226)).toHaveLength(226 + 13 * 22);
  });

  it('count what they keep', () => {
    const behind = { frames: 3, tokensPerFrame: 10, textTokens: 4, textFirst: false, density: 0.4 };
    for (const mask of [windowMask(34, 0.3), windowMask(34, 1), framewiseWindowMask(behind)]) {
      const pairs = Array.from({ length: 34 }, (_, query) => kept(mask, 34, query).length);
      expect(keptKeys(mask, 34)).toBe(pairs.reduce((sum, count) => sum + count, 0));
    }
  });
});

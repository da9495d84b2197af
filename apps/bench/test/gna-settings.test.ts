import { expect, it } from 'vitest';
import { speedSettings } from '../src/scenarios/gna/settings.ts';

it('gna/speed has layouts of some lengths, each with a perfect setting and a sliding one, and refuses others', () => {
  for (const tokens of [1024, 4096, 16384]) {
    const settings = speedSettings(tokens);
    expect(new Set(settings.map(({ perfect }) => perfect))).toEqual(new Set([true, false]));
    for (const { layout } of settings) expect(layout.reduce((product, size) => product * size, 1)).toBe(tokens);
  }
  expect(() => speedSettings(12)).toThrow(/no layout of 12 tokens.*1024, 4096, 16384/);
});

import { describe, expect, it, vi } from 'vitest';
import { peakRate, plausibleShare, RooflineError } from '../src/roofline/peaks.ts';

const peak = (name: string, value: number, workingSetBytes?: number) => ({
  name,
  description: '',
  unit: 'byte/s' as const,
  value,
  ...(workingSetBytes === undefined ? {} : { workingSetBytes }),
});

describe('peakRate', () => {
  const roofline = { peaks: [peak('read', 40, 2 ** 18), peak('read', 10, 2 ** 26), peak('f32-fma', 7)] };

  it('takes the bandwidth of the nearest working set', () => {
    expect(peakRate(roofline, 'read', 2 ** 20)).toBe(40);
    expect(peakRate(roofline, 'read', 2 ** 23)).toBe(10);
    expect(peakRate(roofline, 'read', 2 ** 30)).toBe(10);
  });

  it('claims no share of a peak that was not measured', () => {
    expect(peakRate(roofline, 'f32-fma')).toBe(7);
    expect(1 / peakRate(roofline, 'copy', 2 ** 20)).toBe(0);
  });
});

describe('plausibleShare', () => {
  it('measures again over 110% and refuses a second such share', async () => {
    const again = vi.fn(async () => 1.05);
    await expect(plausibleShare({ share: 1.1, measureAgain: again })).resolves.toBe(1.1);
    expect(again).not.toHaveBeenCalled();
    await expect(plausibleShare({ share: 1.2, measureAgain: again })).resolves.toBe(1.05);
    const twice = { share: 1.2, measureAgain: async () => 1.3 };
    await expect(plausibleShare(twice)).rejects.toThrow(RooflineError);
    await expect(plausibleShare(twice)).rejects.toThrow(/130% of its peak in two runs/);
  });
});

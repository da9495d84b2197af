import { describe, expect, it } from 'vitest';
import { interleave, speedup } from '../src/measure/interleave.ts';

/** Variants that write down their turns and report fixed times. */
function recorded(times: Readonly<Record<string, number>>) {
  const turns: string[] = [];
  const variants = Object.entries(times).map(([name, time]) => ({
    name,
    run: async () => {
      turns.push(name);
      return time;
    },
  }));
  return { turns, variants };
}

describe('interleave', () => {
  it('runs the variants in turn, each round starting with the next', async () => {
    const { turns, variants } = recorded({ a: 1, b: 2, c: 3 });
    await interleave(variants, { rounds: 3, warmUp: 1 });
    expect(turns.join('')).toBe('abcbcacababc');
  });

  it('does not count the warm-up', async () => {
    let call = 0;
    const variant = { name: 'a', run: async () => (call++ < 3 ? 1000 : 5) };
    const times = await interleave([variant], { rounds: 4, warmUp: 3 });
    expect(times.get('a')).toEqual({ summary: { median: 5, p10: 5, p90: 5, n: 4 }, samples: [5, 5, 5, 5] });
  });

  it('takes wall time where a variant reports none', async () => {
    const wait = { name: 'wait', run: () => new Promise<undefined>((done) => setTimeout(() => done(undefined), 20)) };
    const times = await interleave([wait], { rounds: 2, warmUp: 0 });
    expect(times.get('wait')?.summary.median).toBeGreaterThanOrEqual(19);
  });

  it('compares runs of equal rounds', async () => {
    const { variants } = recorded({ slow: 12, fast: 3 });
    const times = await interleave(variants, { rounds: 5 });
    const slow = times.get('slow');
    const fast = times.get('fast');
    if (!slow || !fast) throw new Error('a variant has no times');
    expect(speedup(slow, fast)).toEqual({ value: 4, low: 4, high: 4, n: 5 });
  });

  it('stops when told to, and passes errors on', async () => {
    const { turns, variants } = recorded({ a: 1 });
    const signal = AbortSignal.abort(new Error('stop'));
    await expect(interleave(variants, { rounds: 1, signal })).rejects.toThrow('stop');
    expect(turns).toEqual([]);
    const broken = { name: 'b', run: () => Promise.reject(new Error('broken')) };
    await expect(interleave([broken], { rounds: 1 })).rejects.toThrow('broken');
  });

  it('refuses what cannot be timed', async () => {
    const { variants } = recorded({ a: 1 });
    await expect(interleave(variants, { rounds: 0 })).rejects.toThrow(/rounds/);
    await expect(interleave([...variants, ...variants], { rounds: 1 })).rejects.toThrow(/different names/);
  });
});

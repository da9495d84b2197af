import { describe, expect, it } from 'vitest';
import { attention, openGpu, randomNormal, type Tuning } from '../src/index.ts';
import { assertClose } from '../src/testing/index.ts';

describe('tuning', () => {
  it('measures every variant, keeps the fastest, and is taken again from JSON', async () => {
    const gpu = await openGpu();
    try {
      expect(gpu.tuning).toBeUndefined();
      const before = gpu.fingerprint;
      const { liveBytes } = gpu.stats();
      const tuning = await gpu.tune();
      expect(gpu.stats().liveBytes).toBe(liveBytes);
      expect(gpu.tuning).toBe(tuning);
      expect(gpu.fingerprint).not.toBe(before);
      expect(gpu.fingerprint.startsWith(before)).toBe(true);
      for (const [family, choice] of Object.entries(tuning.choices)) {
        const times = tuning.milliseconds[family] as Record<string, number>;
        for (const ms of Object.values(times)) expect(ms).toBeGreaterThanOrEqual(times[choice] as number);
      }
      const again = await openGpu({ tuning: JSON.parse(JSON.stringify(tuning)) as Tuning });
      expect(again.fingerprint).toBe(gpu.fingerprint);
      again.dispose();
    } finally {
      gpu.dispose();
    }
    // A software adapter compiles a dozen variants for it.
  }, 180_000);

  it('leaves a tuning of another adapter out of account', async () => {
    const gpu = await openGpu({ tuning: { adapter: 'another', choices: {}, milliseconds: {} } });
    expect(gpu.tuning).toBeUndefined();
    gpu.dispose();
  });

  it('changes which kernel runs and not what it gives; unknown choices fall back', async () => {
    const gpu = await openGpu();
    // Without a tuning, the fingerprint is the adapter's name.
    const adapter = gpu.fingerprint;
    gpu.dispose();
    const outputs: Float32Array[] = [];
    for (const choice of ['subgroup features', 'subgroup rows of 128', 'of another version']) {
      const tuned = await openGpu({ tuning: { adapter, choices: { 'attention.prefill': choice }, milliseconds: {} } });
      expect(tuned.tuning).toBeDefined();
      const random = (seed: number) => randomNormal(tuned, [1, 2, 40, 16], { seed });
      const [q, k, v] = [random(1), random(2), random(3)];
      outputs.push((await attention(q, k, v, { causal: true }).output.read()) as Float32Array);
      tuned.dispose();
    }
    for (const output of outputs) assertClose(output, outputs[0] as Float32Array, { absolute: 1e-6, relative: 1e-5 });
  });
});

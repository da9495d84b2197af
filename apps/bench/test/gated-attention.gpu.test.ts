import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseOptions } from '@saccade/core';
import { sharedGpu } from '@saccade/core/testing';
import { gatedAttentionOptions } from '@saccade/gated-attention';
import { afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { gatedModel, gateName } from '../src/scenarios/gated-attention/gated-model.ts';
import { measureModel } from '../src/scenarios/gated-attention/measure-model.ts';
import { type Preset, presets } from '../src/scenarios/gated-attention/presets.ts';
import { trainModel } from '../src/scenarios/gated-attention/train-model.ts';
import { WeightFiles } from '../src/scenarios/gated-attention/weight-files.ts';

const small = (task: string): Preset => {
  const preset = presets(true).find(({ task: { name } }) => name === task) as Preset;
  return { ...preset, steps: 20, rows: 4, heldOutTokens: 512 };
};
const options = (given: Parameters<typeof parseOptions<typeof gatedAttentionOptions>>[1] = {}) =>
  parseOptions(gatedAttentionOptions, given);

// The adapter comes from the cache folder, which the tests replace.
beforeAll(async () => {
  await sharedGpu();
});

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gated-'));
  vi.stubEnv('XDG_CACHE_HOME', folder);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

it.each(['novel', 'backcopy'])(
  'trains on the task %s, keeps the weights, and measures beyond the trained length',
  async (task) => {
    const gpu = await sharedGpu();
    const before = gpu.stats().liveBytes;
    const preset = small(task);
    const signal = new AbortController().signal;
    const trained = gatedModel(gpu, preset, options(), 1);
    const first = await measureModel(gpu, trained, preset, 64);
    const files = new WeightFiles(preset.name, gateName(options()), 1);
    await trainModel(trained, { gpu, preset, seed: 1, files, signal, onStep: () => undefined });
    const [after, further] = [
      await measureModel(gpu, trained, preset, 64),
      await measureModel(gpu, trained, preset, 128),
    ];
    expect(after.loss).toBeLessThan(first.loss - 0.15);
    expect(further.loss).toBeGreaterThan(0);
    for (const { firstTokenMass, meanGate } of [after, further]) {
      expect(firstTokenMass).toHaveLength(2);
      for (const share of [...firstTokenMass, ...(meanGate as number[])]) {
        expect(share).toBeGreaterThan(0);
        expect(share).toBeLessThan(1);
      }
    }
    expect(readdirSync(join(folder, 'saccade', 'gated-attention'))).toEqual([
      `${task}-quick-elementwise-1.safetensors`,
    ]);
    const loaded = gatedModel(gpu, preset, options(), 7);
    await trainModel(loaded, { gpu, preset, seed: 1, files, signal, onStep: () => undefined });
    expect(await measureModel(gpu, loaded, preset, 64)).toEqual(after);
    trained.model.dispose();
    loaded.model.dispose();
    expect(gpu.stats().liveBytes).toBe(before);
  },
);

it('gives every gate the same number of parameters, or fewer', async () => {
  const gpu = await sharedGpu();
  for (const preset of presets(false)) {
    const count = (given: Parameters<typeof options>[0]) => {
      const { model } = gatedModel(gpu, preset, options(given), 1);
      const total = [...model.stateDict().values()].reduce((sum, { size }) => sum + size, 0);
      model.dispose();
      return total;
    };
    const plain = count({ source: 'none' });
    expect(count({})).toBe(plain);
    expect(count({ granularity: 'headwise' })).toBe(plain);
    const few = count({ source: 'parameter' });
    expect(few).toBeLessThanOrEqual(plain);
    expect(few).toBeGreaterThan(0.99 * plain);
  }
});

it('names weights by what the gate is', () => {
  expect(gateName(options({ source: 'none' }))).toBe('none');
  expect(gateName(options())).toBe('elementwise');
  expect(gateName(options({ position: 'g2', granularity: 'headwise', headSpecific: false, activation: 'silu' }))).toBe(
    'g2-headwise-shared-silu',
  );
});

it('the chain copies behind triggers, and its held-out rows are the same each time', () => {
  const { task } = small('backcopy');
  const rows = task.batch(3, 5, 64, 64);
  expect(task.batch(3, 5, 64, 64)).toEqual(rows);
  expect(task.batch(4, 5, 64, 64)).not.toEqual(rows);
  let [triggers, total] = [0, 0];
  for (let row = 0; row < rows.length; row += 65) {
    expect(rows[row]).toBe(63);
    for (let at = row + 2; at < row + 65; at++) {
      if ((rows[at - 1] as number) < 3) expect(rows[at]).toBe(rows[at - 2]);
      triggers += (rows[at] as number) < 3 ? 1 : 0;
      total++;
    }
  }
  expect(triggers / total).toBeGreaterThan(0.06);
  expect(triggers / total).toBeLessThan(0.12);
  expect(task.heldOut(64, 256)).toEqual(task.heldOut(64, 256));
});

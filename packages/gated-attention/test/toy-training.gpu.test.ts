import { RandomStream, type Tensor } from '@saccade/core';
import { AdamW, CausalLm, Initializer, train } from '@saccade/core/nn';
import { sharedGpu } from '@saccade/core/testing';
import { expect, it } from 'vitest';
import { GatedAttention, type GatedAttentionOptions, type LayerStatistics, layerStatistics } from '../src/index.ts';

const vocabulary = 24;
const length = 24;

/** Induction data: the second half of a row repeats the first, so that half of the tokens can be known. */
function rows(step: number, count: number): { ids: number[]; targets: number[] } {
  const random = new RandomStream(3, step);
  const [ids, targets]: [number[], number[]] = [[], []];
  for (let row = 0; row < count; row++) {
    const half = Array.from({ length: length / 2 + 1 }, () => random.integer(vocabulary));
    const whole = [...half, ...half];
    ids.push(...whole.slice(0, length));
    targets.push(...whole.slice(1, length + 1));
  }
  return { ids, targets };
}

async function toyRun(
  options: GatedAttentionOptions,
): Promise<{ first: number; last: number; layers: LayerStatistics[] }> {
  const gpu = await sharedGpu();
  const layers: GatedAttention[] = [];
  const model = new CausalLm(
    new Initializer(gpu, { seed: 4 }),
    {
      vocabularySize: vocabulary,
      hiddenSize: 64,
      layers: 2,
      heads: 4,
      intermediateSize: 64,
      contextLength: length,
      initializerRange: 0.08,
    },
    {
      attention: (_, sizes, init) => {
        const layer = new GatedAttention(init, { ...sizes, ...options });
        layers.push(layer);
        return layer;
      },
    },
  );
  const optimizer = new AdamW(model.parameters(), { learningRate: 5e-3, weightDecay: 0 });
  const tensors = (step: number, count: number): { ids: Tensor; targets: Tensor } => {
    const { ids, targets } = rows(step, count);
    return { ids: gpu.tensor(ids, [count, length], 'u32'), targets: gpu.tensor(targets, [count, length], 'u32') };
  };
  const { entries } = await train({
    module: model,
    optimizer,
    steps: 80,
    loss: ({ step }) => {
      const { ids, targets } = tensors(step, 16);
      return model.loss(ids, targets);
    },
    clip: 1,
  });
  const statistics = await layerStatistics(layers, () => model.hidden(tensors(1000, 4).ids));
  optimizer.dispose();
  model.dispose();
  const mean = (from: number, to: number) =>
    entries.slice(from, to).reduce((sum, { loss }) => sum + loss, 0) / (to - from);
  return { first: entries[0]?.loss as number, last: mean(70, 80), layers: statistics };
}

// Whether a gate lowers the loss takes several seeds: `training/gated-attention` of the bench measures it.
it('check 8: toy models learn with the gate and without it, and the statistics tell their gates apart', async () => {
  const gpu = await sharedGpu();
  const before = gpu.stats().liveBytes;
  const plain = await toyRun({ source: 'none' });
  const gated = await toyRun({});
  const open = await toyRun({ activation: 'nsSigmoid' });
  for (const { first, last } of [plain, gated, open]) {
    expect(first).toBeGreaterThan(Math.log(vocabulary) - 0.3);
    // Half of the tokens are random: knowing the other half would leave about ln(24) / 2 = 1.6.
    expect(last).toBeLessThan(2.4);
  }
  expect(plain.layers.every(({ meanGate }) => meanGate === undefined)).toBe(true);
  for (const { meanGate, gateHistogram, firstTokenMass } of gated.layers) {
    expect(meanGate).toBeGreaterThan(0.1);
    expect(meanGate).toBeLessThan(0.9);
    expect(gateHistogram?.some((share) => share > 0.5)).toBe(false);
    expect(firstTokenMass).toBeGreaterThan(0);
    expect(firstTokenMass).toBeLessThan(0.9);
  }
  for (const { gateHistogram } of open.layers) expect(gateHistogram?.slice(0, 5)).toEqual([0, 0, 0, 0, 0]);
  expect(gpu.stats().liveBytes).toBe(before);
});

import { expect, it } from 'vitest';
import { AdamW, CausalLm, cosineSchedule, Initializer, train } from '../src/nn/index.ts';
import { writeTensorFile } from '../src/tensor/tensor-file.ts';
import { sharedGpu } from '../src/testing/index.ts';
import { goldenTensors } from './golden-tensors.ts';

// 200 steps of PyTorch's Llama and AdamW from the same weights and batches: tools/oracle/loss_curve.py.
const golden = goldenTensors('loss-curve');
const [steps, rows, length] = [200, 4, 48];

it("follows PyTorch's loss curve within 1% over 200 steps", async () => {
  const gpu = await sharedGpu();
  const before = gpu.stats().liveBytes;
  const model = new CausalLm(new Initializer(gpu), {
    vocabularySize: 128,
    hiddenSize: 32,
    layers: 2,
    heads: 4,
    kvHeads: 2,
    intermediateSize: 64,
    contextLength: length,
  });
  const initial = [...model.stateDict()].map(([name, { shape }]) => {
    const bytes = new Uint8Array(Float32Array.from(golden(`initial.${name}`).data).buffer);
    return [name, { dtype: 'f32', shape, bytes }] as const;
  });
  model.loadSafetensors(writeTensorFile({ tensors: new Map(initial), note: '' }));
  const vectors = /norm/;
  const optimizer = new AdamW(model.parameters(), {
    learningRate: 1e-3,
    weightDecay: 0.1,
    betas: [0.9, 0.98],
    groups: [{ match: vectors, weightDecay: 0 }],
  });
  const [text, starts] = [golden('text').data, golden('starts').data];
  const { entries } = await train({
    module: model,
    optimizer,
    steps,
    clip: 1,
    schedule: cosineSchedule({ steps, warmup: 10, floor: 0.1 }),
    loss: ({ step }) => {
      const from = [...starts.slice(step * rows, (step + 1) * rows)];
      const tokens = (shift: number) => from.flatMap((start) => [...text.slice(start + shift, start + shift + length)]);
      const batch = (shift: number) => gpu.tensor(tokens(shift), [rows, length], 'u32');
      return model.loss(batch(0), batch(1));
    },
  });
  const theirs = golden('losses').data;
  const worst = Math.max(...entries.map(({ loss }, step) => Math.abs(loss / (theirs[step] as number) - 1)));
  expect(entries).toHaveLength(steps);
  expect(worst).toBeLessThan(0.01);
  // Before rounding has grown, gradients agree too.
  const norms = golden('norms').data;
  for (const { step, gradientNorm } of entries.slice(0, 20)) {
    expect(Math.abs((gradientNorm as number) / (norms[step] as number) - 1)).toBeLessThan(1e-3);
  }
  model.dispose();
  optimizer.dispose();
  expect(gpu.stats().liveBytes).toBe(before);
});

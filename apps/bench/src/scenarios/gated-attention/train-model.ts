import type { Gpu } from '@saccade/core';
import { AdamW, cosineSchedule, train } from '@saccade/core/nn';
import type { GatedModel } from './gated-model.ts';
import { type Preset, training } from './presets.ts';
import { rowTensors } from './rows.ts';
import type { WeightFiles } from './weight-files.ts';

export interface TrainModelOptions {
  readonly gpu: Gpu;
  readonly preset: Preset;
  readonly seed: number;
  readonly files: WeightFiles;
  readonly signal: AbortSignal;
  /** Gets the steps that are done. */
  readonly onStep: (step: number) => void;
}

/** Gives a model its trained weights: from a file, or by training, which goes on where an earlier run stopped. */
export async function trainModel({ model }: GatedModel, options: TrainModelOptions): Promise<void> {
  const { gpu, preset, seed, files, signal, onStep } = options;
  const { task, steps, rows, config } = preset;
  const { weights } = files;
  if (weights) {
    model.loadSafetensors(weights);
    onStep(steps);
    return;
  }
  const { learningRate, floor, warmup, betas, clip } = training;
  const groups = [{ match: /norm/, weightDecay: 0 }];
  const optimizer = new AdamW(model.parameters(), { learningRate, betas, weightDecay: task.weightDecay, groups });
  try {
    await train({
      module: model,
      optimizer,
      steps,
      loss: ({ step }) => {
        const batch = task.batch(seed, step, rows, config.contextLength);
        const { ids, targets } = rowTensors(gpu, batch, config.contextLength);
        return model.loss(ids, targets);
      },
      clip,
      schedule: cosineSchedule({ steps, warmup: Math.min(warmup, Math.floor(steps / 5)), floor }),
      checkpoint: { store: files.unfinished, every: 50 },
      onProgress: ({ done }) => onStep(done),
      signal,
    });
    files.finish(await model.saveSafetensors());
  } finally {
    optimizer.dispose();
  }
}

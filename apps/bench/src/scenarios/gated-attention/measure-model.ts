import { type Gpu, ropeTable, type Tensor } from '@saccade/core';
import { layerStatistics } from '@saccade/gated-attention';
import type { GatedModel } from './gated-model.ts';
import type { Preset } from './presets.ts';
import { rowTensors } from './rows.ts';

/** What a trained model does at one length. */
export interface Measurement {
  /** Nats per token, on rows that were not trained on. */
  readonly loss: number;
  /** Of each layer, at this length. */
  readonly firstTokenMass: readonly number[];
  /** Of each layer; undefined without a gate. */
  readonly meanGate: readonly number[] | undefined;
}

/** Tokens that run together. */
const batchTokens = 2048;

/**
 * Measures a model at a length. Beyond the trained one the rotary frequencies are stretched by YaRN (Peng et al., 2023), without
 * further training.
 */
export async function measureModel(
  gpu: Gpu,
  trained: GatedModel,
  preset: Preset,
  length: number,
): Promise<Measurement> {
  const { model, layers } = trained;
  const { contextLength, headSize } = preset.config;
  const factor = length / contextLength;
  const rope = ropeTable(gpu, {
    rotarySize: headSize,
    positions: length,
    ...(factor > 1 ? { scaling: { type: 'yarn', factor, originalContext: contextLength } } : {}),
  });
  try {
    const rows = preset.task.heldOut(length, preset.heldOutTokens);
    const perBatch = Math.max(1, Math.floor(batchTokens / length)) * (length + 1);
    let [sum, count] = [0, 0];
    for (let start = 0; start < rows.length; start += perBatch) {
      const part = rows.subarray(start, start + perBatch);
      const loss = gpu.tidy(() => {
        const { ids, targets } = rowTensors(gpu, part, length);
        return model.loss(ids, targets, { rope }) as Tensor;
      });
      sum += ((await loss.read())[0] as number) * part.length;
      count += part.length;
      loss.dispose();
    }
    const statistics = await layerStatistics(layers, () =>
      model.hidden(rowTensors(gpu, rows.subarray(0, perBatch), length).ids, { rope }),
    );
    const gates = statistics.flatMap(({ meanGate }) => meanGate ?? []);
    return {
      loss: sum / count,
      firstTokenMass: statistics.map(({ firstTokenMass }) => firstTokenMass),
      meanGate: gates.length > 0 ? gates : undefined,
    };
  } finally {
    rope.dispose();
  }
}

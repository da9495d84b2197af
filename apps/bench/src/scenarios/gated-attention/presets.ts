import type { CausalLmConfig } from '@saccade/core/nn';
import { backcopyTask, novelTask, type TrainingTask } from './tasks.ts';

/** A task, the model without a gate that is trained on it, and for how long. */
export interface Preset {
  /** Begins the names of the files of weights. */
  readonly name: string;
  readonly task: TrainingTask;
  /** `contextLength` is that of training. */
  readonly config: Required<
    Pick<
      CausalLmConfig,
      'hiddenSize' | 'layers' | 'heads' | 'kvHeads' | 'headSize' | 'intermediateSize' | 'contextLength'
    >
  >;
  readonly steps: number;
  /** Rows of a step. */
  readonly rows: number;
  /** Tokens that are measured at each length. */
  readonly heldOutTokens: number;
}

/** Of all presets; `tools/oracle/train_gated_attention.py` has the same. */
export const training = { learningRate: 3e-3, floor: 0.05, warmup: 100, betas: [0.9, 0.95], clip: 1 } as const;

/** The sizes of the reported runs; hours of training on a software adapter. */
function fullPresets(): Preset[] {
  return [
    {
      name: 'novel',
      task: novelTask(),
      config: {
        hiddenSize: 128,
        layers: 4,
        heads: 6,
        kvHeads: 2,
        headSize: 32,
        intermediateSize: 384,
        contextLength: 256,
      },
      steps: 700,
      rows: 4,
      heldOutTokens: 30_720,
    },
    {
      name: 'backcopy',
      task: backcopyTask(),
      config: {
        hiddenSize: 64,
        layers: 2,
        heads: 6,
        kvHeads: 6,
        headSize: 16,
        intermediateSize: 192,
        contextLength: 64,
      },
      steps: 1000,
      rows: 16,
      heldOutTokens: 16_384,
    },
  ];
}

/** Small enough for minutes on a software adapter; too short for the claims to show. */
function quickPresets(): Preset[] {
  return fullPresets().map((preset) => ({
    ...preset,
    name: `${preset.name}-quick`,
    config: { ...preset.config, hiddenSize: 64, layers: 2, headSize: 16, intermediateSize: 192, contextLength: 64 },
    steps: 150,
    rows: 8,
    heldOutTokens: 2048,
  }));
}

export function presets(quick: boolean): Preset[] {
  return quick ? quickPresets() : fullPresets();
}

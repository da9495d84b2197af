import type { Gpu } from '../device/gpu.ts';
import { ArgumentError } from '../errors.ts';
import type { Tensor } from '../tensor/tensor.ts';

/** Ways to stretch rotary embeddings over a longer context than the model was trained on, named as in Hugging Face. */
export type RopeScaling =
  /** Position interpolation: every frequency divided by `factor`. */
  | { readonly type: 'linear'; readonly factor: number }
  /**
   * NTK-aware: the base grows with the context once it exceeds `originalContext`. The context is the number of positions
   * of the table.
   */
  | { readonly type: 'dynamic'; readonly factor: number; readonly originalContext: number }
  /** Llama 3.1: low frequencies divided by `factor`, high ones kept, those between mixed. */
  | {
      readonly type: 'llama3';
      readonly factor: number;
      readonly lowFrequencyFactor: number;
      readonly highFrequencyFactor: number;
      readonly originalContext: number;
    }
  /** YaRN (Peng et al., 2023): interpolation by wavelength, and a factor on the attention logits. */
  | {
      readonly type: 'yarn';
      readonly factor: number;
      readonly originalContext: number;
      /** Multiplies cos and sin. Default: from `mscale` and `mscaleAllDimensions`, else 0.1 ln(factor) + 1. */
      readonly attentionFactor?: number;
      readonly mscale?: number;
      readonly mscaleAllDimensions?: number;
      /** Rotations over the original context from which on a frequency is kept. Default 32. */
      readonly betaFast?: number;
      /** Rotations below which a frequency is fully interpolated. Default 1. */
      readonly betaSlow?: number;
      /** Whether the ends of the mixed range are rounded to whole dimensions. Default true. */
      readonly truncate?: boolean;
    };

export interface RopeTableOptions {
  /** Leading elements of each head that rotate; even. */
  readonly rotarySize: number;
  /** Base of the frequencies ("theta"). Default 10,000. */
  readonly base?: number;
  /** Positions 0 .. positions - 1 are covered. */
  readonly positions: number;
  readonly scaling?: RopeScaling;
}

/** Cosines and sines of all positions, in GPU memory until disposed. */
export interface RopeTable {
  readonly rotarySize: number;
  readonly positions: number;
  /** f32 [positions, rotarySize / 2]. */
  readonly cos: Tensor;
  /** f32 [positions, rotarySize / 2]. */
  readonly sin: Tensor;
  dispose(): void;
}

/** Frequencies in radians per position, and what cos and sin are multiplied by. */
export interface RopeFrequencies {
  readonly frequencies: Float64Array;
  readonly attentionFactor: number;
}

function check(name: string, value: number, allowed: string, holds: boolean): void {
  if (!(Number.isFinite(value) && holds)) throw new ArgumentError(`ropeTable: ${name}`, value, allowed);
}

/**
 * The frequencies of a table, in f64.
 *
 * @throws ArgumentError for values outside their range.
 */
export function ropeFrequencies(options: RopeTableOptions): RopeFrequencies {
  const { rotarySize, base = 10_000, positions, scaling } = options;
  check('rotarySize', rotarySize, 'an even integer of 2 or more', rotarySize >= 2 && rotarySize % 2 === 0);
  check('base', base, 'a number above 1', base > 1);
  check('positions', positions, 'an integer of 1 or more', Number.isInteger(positions) && positions >= 1);
  const withBase = (value: number) =>
    Float64Array.from({ length: rotarySize / 2 }, (_, i) => value ** ((-2 * i) / rotarySize));
  const frequencies = withBase(base);
  if (!scaling) return { frequencies, attentionFactor: 1 };
  check('scaling.factor', scaling.factor, 'a number of 1 or more', scaling.factor >= 1);
  if (scaling.type !== 'linear') {
    check('scaling.originalContext', scaling.originalContext, 'a positive number', scaling.originalContext > 0);
  }
  switch (scaling.type) {
    case 'linear':
      return { frequencies: frequencies.map((frequency) => frequency / scaling.factor), attentionFactor: 1 };
    case 'dynamic': {
      const context = Math.max(positions, scaling.originalContext);
      const growth = (scaling.factor * context) / scaling.originalContext - (scaling.factor - 1);
      const exponent = rotarySize / Math.max(rotarySize - 2, 1);
      return { frequencies: withBase(base * growth ** exponent), attentionFactor: 1 };
    }
    case 'llama3':
      return { frequencies: frequencies.map((frequency) => llama3Frequency(frequency, scaling)), attentionFactor: 1 };
    case 'yarn':
      return yarnFrequencies(frequencies, rotarySize, base, scaling);
    default:
      throw new ArgumentError(
        'ropeTable: scaling.type',
        (scaling as { type: unknown }).type,
        "'linear', 'dynamic', 'llama3', 'yarn'",
      );
  }
}

function llama3Frequency(frequency: number, scaling: RopeScaling & { type: 'llama3' }): number {
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalContext } = scaling;
  check('scaling.highFrequencyFactor', high, 'above lowFrequencyFactor', high > low);
  const rotations = (originalContext * frequency) / (2 * Math.PI);
  if (rotations < low) return frequency / factor;
  if (rotations > high) return frequency;
  const kept = (rotations - low) / (high - low);
  return (1 - kept) * (frequency / factor) + kept * frequency;
}

function yarnFrequencies(
  frequencies: Float64Array,
  rotarySize: number,
  base: number,
  scaling: RopeScaling & { type: 'yarn' },
): RopeFrequencies {
  const {
    factor,
    originalContext,
    mscale,
    mscaleAllDimensions,
    betaFast = 32,
    betaSlow = 1,
    truncate = true,
  } = scaling;
  check('scaling.betaFast', betaFast, 'above betaSlow', betaFast > betaSlow && betaSlow > 0);
  // The (fractional) dimension whose frequency turns `rotations` times over the original context.
  const dimensionOf = (rotations: number) =>
    (rotarySize * Math.log(originalContext / (rotations * 2 * Math.PI))) / (2 * Math.log(base));
  const rounded = (value: number, round: (x: number) => number) => (truncate ? round(value) : value);
  const low = Math.max(rounded(dimensionOf(betaFast), Math.floor), 0);
  const last = Math.min(rounded(dimensionOf(betaSlow), Math.ceil), rotarySize - 1);
  // A range of no width would divide by zero.
  const high = last === low ? last + 0.001 : last;
  const magnitude = (weight: number) => (factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1);
  const both = mscale && mscaleAllDimensions ? magnitude(mscale) / magnitude(mscaleAllDimensions) : undefined;
  return {
    frequencies: frequencies.map((frequency, i) => {
      const interpolated = Math.min(Math.max((i - low) / (high - low), 0), 1);
      return interpolated * (frequency / factor) + (1 - interpolated) * frequency;
    }),
    attentionFactor: scaling.attentionFactor ?? both ?? magnitude(1),
  };
}

/**
 * Cosines and sines of rotary embeddings (Su et al., 2021), computed on the host in f64 and stored as f32. The attention
 * factor of a scaling is multiplied in.
 *
 * @throws ArgumentError for values outside their range.
 */
export function ropeTable(gpu: Gpu, options: RopeTableOptions): RopeTable {
  const { frequencies, attentionFactor } = ropeFrequencies(options);
  const { rotarySize, positions } = options;
  const half = rotarySize / 2;
  const cos = new Float32Array(positions * half);
  const sin = new Float32Array(positions * half);
  for (let position = 0; position < positions; position++) {
    frequencies.forEach((frequency, i) => {
      cos[position * half + i] = Math.cos(position * frequency) * attentionFactor;
      sin[position * half + i] = Math.sin(position * frequency) * attentionFactor;
    });
  }
  const tensors = gpu.tidy(() => [cos, sin].map((data) => gpu.tensor(data, [positions, half])));
  for (const tensor of tensors) gpu.keep(tensor);
  return {
    rotarySize,
    positions,
    cos: tensors[0] as Tensor,
    sin: tensors[1] as Tensor,
    dispose: () => {
      for (const tensor of tensors) tensor.dispose();
    },
  };
}

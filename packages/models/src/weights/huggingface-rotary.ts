import type { RopeScaling } from '@saccade/core';
import type { ConfigValues } from './config-values.ts';
import type { RotaryFrequencies } from './model-config.ts';

/**
 * Rotary parameters: one object `rope_parameters` in newer files, `rope_theta` and `rope_scaling` in older ones.
 * @throws ModelConfigError
 */
export function huggingFaceRotary(outer: ConfigValues, contextLength: number, theta = 10_000): RotaryFrequencies {
  const values = outer.object('rope_parameters') ?? outer.object('rope_scaling');
  const base = values?.has('rope_theta') ? values.positive('rope_theta') : outer.positive('rope_theta', theta);
  return rotaryFrequencies(values, base, contextLength);
}

/** Frequencies of one object of rotary parameters. */
export function rotaryFrequencies(
  values: ConfigValues | undefined,
  theta: number,
  contextLength: number,
): RotaryFrequencies {
  const scaling =
    values && readScaling(values.text('rope_type', values.text('type', 'default')), values, contextLength);
  return { theta, ...(scaling ? { scaling } : {}) };
}

function readScaling(type: string, values: ConfigValues, contextLength: number): RopeScaling | undefined {
  const factor = () => values.positive('factor');
  const originalContext = () => values.count('original_max_position_embeddings', contextLength);
  switch (type) {
    case 'default':
    // Qwen2-VL's sections of the frequencies, which stay as they are.
    case 'mrope':
      return undefined;
    case 'linear':
      return { type, factor: factor() };
    case 'dynamic':
      return { type, factor: factor(), originalContext: originalContext() };
    case 'llama3':
      return {
        type,
        factor: factor(),
        lowFrequencyFactor: values.positive('low_freq_factor'),
        highFrequencyFactor: values.positive('high_freq_factor'),
        originalContext: values.count('original_max_position_embeddings'),
      };
    case 'yarn':
      return {
        type,
        factor: factor(),
        originalContext: originalContext(),
        ...optional(values, { attentionFactor: 'attention_factor', mscale: 'mscale' }),
        ...optional(values, { mscaleAllDimensions: 'mscale_all_dim', betaFast: 'beta_fast', betaSlow: 'beta_slow' }),
        truncate: values.flag('truncate', true),
      };
    default:
      throw values.unsupported('rope_type', type, 'default, linear, dynamic, llama3, yarn');
  }
}

/** Positive numbers that may be absent, under their names here. */
function optional<Name extends string>(
  values: ConfigValues,
  names: Readonly<Record<Name, string>>,
): Partial<Record<Name, number>> {
  const found: Partial<Record<Name, number>> = {};
  for (const name in names) if (values.has(names[name])) found[name] = values.positive(names[name]);
  return found;
}

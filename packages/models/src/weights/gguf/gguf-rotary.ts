import type { RopeScaling } from '@saccade/core';
import type { ConfigValues } from '../config-values.ts';
import type { RotaryFrequencies } from '../model-config.ts';

const yarnExtensions = ['attn_factor', 'yarn_ext_factor', 'yarn_attn_factor', 'yarn_beta_fast', 'yarn_beta_slow'].map(
  (name) => `rope.scaling.${name}`,
);

/** Rotary parameters of a GGUF file. @throws ModelConfigError */
export function ggufRotary(values: ConfigValues, theta = 10_000): RotaryFrequencies {
  const scaling = readScaling(values);
  return { theta: values.positive('rope.freq_base', theta), ...(scaling ? { scaling } : {}) };
}

/** Elements of a head that rotate. */
export function ggufRotarySize(values: ConfigValues, headSize: number): number {
  return values.count('rope.dimension_count', headSize);
}

function readScaling(values: ConfigValues): RopeScaling | undefined {
  if (values.has('rope.scale_linear')) throw values.unsupported('rope.scale_linear', 'present', 'rope.scaling.type');
  const type = values.text('rope.scaling.type', 'none');
  switch (type) {
    case 'none':
      return undefined;
    case 'linear':
      return { type, factor: values.positive('rope.scaling.factor') };
    case 'yarn':
      // What these do on top of YaRN has no counterpart in Hugging Face's configurations.
      for (const name of yarnExtensions) {
        if (values.has(name)) throw values.unsupported(name, values.positive(name), 'absent');
      }
      return {
        type,
        factor: values.positive('rope.scaling.factor'),
        originalContext: values.count('rope.scaling.original_context_length'),
      };
    default:
      throw values.unsupported('rope.scaling.type', type, 'none, linear, yarn');
  }
}

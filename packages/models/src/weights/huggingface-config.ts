import type { RopeScaling } from '@saccade/core';
import { ConfigValues } from './config-values.ts';
import { checkLlamaConfig, type LlamaConfig, ModelConfigError } from './model-config.ts';

/**
 * The configuration of a Hugging Face checkpoint, from the parsed `config.json` and, where there is one,
 * `generation_config.json`, whose ids of end-of-text tokens take precedence. Absent values have transformers' defaults.
 * @throws ModelConfigError
 */
export function huggingFaceConfig(config: unknown, generation?: unknown): LlamaConfig {
  const values = new ConfigValues('config.json', field(config));
  const kind = values.text('model_type');
  if (kind !== 'llama') throw values.unsupported('model_type', kind, 'llama');
  const activation = values.text('hidden_act', 'silu');
  if (activation !== 'silu') throw values.unsupported('hidden_act', activation, 'silu');
  for (const bias of ['attention_bias', 'mlp_bias']) {
    if (values.flag(bias, false)) throw values.unsupported(bias, true, 'false');
  }
  const hiddenSize = values.count('hidden_size');
  const heads = values.count('num_attention_heads');
  const contextLength = values.count('max_position_embeddings', 2048);
  const eosIds = new ConfigValues('generation_config.json', field(generation ?? {})).ids('eos_token_id');
  const [bosId] = values.ids('bos_token_id');
  const rope = readRope(config, values, contextLength);
  return checkLlamaConfig('config.json', {
    architecture: 'llama',
    vocabularySize: values.count('vocab_size'),
    hiddenSize,
    layers: values.count('num_hidden_layers'),
    heads,
    kvHeads: values.count('num_key_value_heads', heads),
    headSize: values.count('head_dim', hiddenSize / heads),
    intermediateSize: values.count('intermediate_size'),
    ropeTheta: rope.theta,
    ...(rope.scaling ? { ropeScaling: rope.scaling } : {}),
    ropeLayout: 'half',
    rmsNormEpsilon: values.positive('rms_norm_eps', 1e-6),
    tieWordEmbeddings: values.flag('tie_word_embeddings', false),
    contextLength,
    ...(bosId === undefined ? {} : { bosId }),
    eosIds: eosIds.length > 0 ? eosIds : values.ids('eos_token_id'),
  });
}

/**
 * Rotary parameters: one object `rope_parameters` in newer files, `rope_theta` and `rope_scaling` in older ones.
 */
function readRope(
  config: unknown,
  outer: ConfigValues,
  contextLength: number,
): { theta: number; scaling: RopeScaling | undefined } {
  const get = field(config);
  const parameters = get('rope_parameters') ?? get('rope_scaling') ?? {};
  const name = get('rope_parameters') ? 'rope_parameters' : 'rope_scaling';
  const values = new ConfigValues(`config.json, ${name}`, field(parameters));
  const theta = values.has('rope_theta') ? values.positive('rope_theta') : outer.positive('rope_theta', 10000);
  const type = values.text('rope_type', values.text('type', 'default'));
  return { theta, scaling: readScaling(type, values, contextLength) };
}

function readScaling(type: string, values: ConfigValues, contextLength: number): RopeScaling | undefined {
  const factor = () => values.positive('factor');
  const originalContext = () => values.count('original_max_position_embeddings', contextLength);
  switch (type) {
    case 'default':
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

/** Reads fields of a parsed JSON object. */
function field(value: unknown): (name: string) => unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ModelConfigError('invalid', 'The configuration is not a JSON object.');
  }
  const record = value as Record<string, unknown>;
  return (name) => (Object.hasOwn(record, name) ? record[name] : undefined);
}

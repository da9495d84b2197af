import type { RopeScaling } from '@saccade/core';
import { ConfigValues } from '../config-values.ts';
import { checkLlamaConfig, type LlamaConfig } from '../model-config.ts';
import type { WeightFile } from '../types.ts';

/**
 * The configuration of a network in a GGUF file, from its metadata and the tensors that it has.
 * @throws ModelConfigError
 */
export function ggufConfig(file: WeightFile): LlamaConfig {
  const general = new ConfigValues('GGUF metadata', (name) => file.metadata.get(name));
  const architecture = general.text('general.architecture');
  if (architecture !== 'llama') throw general.unsupported('general.architecture', architecture, 'llama');
  const values = new ConfigValues('GGUF metadata', (name) => file.metadata.get(`llama.${name}`));
  if (values.has('expert_count') && file.metadata.get('llama.expert_count') !== 0) {
    throw values.unsupported('expert_count', values.count('expert_count'), '0 (no mixture of experts)');
  }
  if (file.has('rope_freqs.weight')) {
    throw general.unsupported('rope_freqs.weight', 'present', 'rotary positions without factors per frequency');
  }
  const hiddenSize = values.count('embedding_length');
  const heads = values.count('attention.head_count');
  const headSize = values.count('attention.key_length', hiddenSize / heads);
  for (const name of ['attention.value_length', 'rope.dimension_count']) {
    const size = values.count(name, headSize);
    if (size !== headSize) throw values.unsupported(name, size, `the head size, ${headSize}`);
  }
  const scaling = readScaling(values);
  const [bosId] = general.ids('tokenizer.ggml.bos_token_id');
  const eosIds = [...general.ids('tokenizer.ggml.eos_token_id'), ...general.ids('tokenizer.ggml.eot_token_id')];
  const embedding = 'model.embed_tokens.weight';
  return checkLlamaConfig('GGUF metadata', {
    architecture: 'llama',
    vocabularySize: file.has(embedding) ? (file.info(embedding).shape[0] as number) : values.count('vocab_size'),
    hiddenSize,
    layers: values.count('block_count'),
    heads,
    kvHeads: values.count('attention.head_count_kv', heads),
    headSize,
    intermediateSize: values.count('feed_forward_length'),
    ropeTheta: values.positive('rope.freq_base', 10000),
    ...(scaling ? { ropeScaling: scaling } : {}),
    ropeLayout: 'interleaved',
    rmsNormEpsilon: values.positive('attention.layer_norm_rms_epsilon'),
    tieWordEmbeddings: !file.has('lm_head.weight'),
    contextLength: values.count('context_length'),
    ...(bosId === undefined ? {} : { bosId }),
    eosIds: [...new Set(eosIds)],
  });
}

const yarnExtensions = ['attn_factor', 'yarn_ext_factor', 'yarn_attn_factor', 'yarn_beta_fast', 'yarn_beta_slow'].map(
  (name) => `rope.scaling.${name}`,
);

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

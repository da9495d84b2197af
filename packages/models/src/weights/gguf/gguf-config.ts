import { families } from '../../architectures/families/index.ts';
import { ConfigValues } from '../config-values.ts';
import { checkConfig, type TransformerConfig } from '../model-config.ts';
import type { WeightFile } from '../types.ts';

/**
 * The configuration of a network in a GGUF file, from its metadata and the tensors that it has.
 * @throws ModelConfigError
 */
export function ggufConfig(file: WeightFile): TransformerConfig {
  const general = new ConfigValues('GGUF metadata', (name) => file.metadata.get(name));
  const architecture = general.text('general.architecture');
  const family = families.find(({ gguf }) => gguf?.architecture === architecture);
  if (!family?.gguf) {
    const known = families.flatMap(({ gguf }) => gguf?.architecture ?? []);
    throw general.unsupported('general.architecture', architecture, known.join(', '));
  }
  const values = new ConfigValues('GGUF metadata', (name) => file.metadata.get(`${architecture}.${name}`));
  if (values.has('expert_count') && file.metadata.get(`${architecture}.expert_count`) !== 0) {
    throw values.unsupported('expert_count', values.count('expert_count'), '0 (no mixture of experts)');
  }
  if (file.has('rope_freqs.weight')) {
    throw general.unsupported('rope_freqs.weight', 'present', 'rotary positions without factors per frequency');
  }
  const hiddenSize = values.count('embedding_length');
  const heads = values.count('attention.head_count');
  const headSize = values.count('attention.key_length', hiddenSize / heads);
  const valueSize = values.count('attention.value_length', headSize);
  if (valueSize !== headSize) {
    throw values.unsupported('attention.value_length', valueSize, `the head size, ${headSize}`);
  }
  const { embedding, head } = family.names.outer;
  const table = `${embedding}.weight`;
  const [bosId] = general.ids('tokenizer.ggml.bos_token_id');
  const eosIds = [...general.ids('tokenizer.ggml.eos_token_id'), ...general.ids('tokenizer.ggml.eot_token_id')];
  return checkConfig('GGUF metadata', {
    architecture: family.name,
    ...family.gguf.read(values, {
      vocabularySize: file.has(table) ? (file.info(table).shape[0] as number) : values.count('vocab_size'),
      hiddenSize,
      layers: values.count('block_count'),
      heads,
      kvHeads: values.count('attention.head_count_kv', heads),
      headSize,
      intermediateSize: values.count('feed_forward_length'),
      tieWordEmbeddings: !file.has(`${head}.weight`),
      contextLength: values.count('context_length'),
    }),
    ...(bosId === undefined ? {} : { bosId }),
    eosIds: [...new Set(eosIds)],
  });
}

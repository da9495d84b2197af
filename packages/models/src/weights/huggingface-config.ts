import { families } from '../architectures/families/index.ts';
import { ConfigValues } from './config-values.ts';
import { checkConfig, type TransformerConfig } from './model-config.ts';

/**
 * The configuration of a Hugging Face checkpoint, from the parsed `config.json` and, where there is one,
 * `generation_config.json`, whose ids of end-of-text tokens take precedence. Absent values have transformers' defaults.
 * @throws ModelConfigError
 */
export function huggingFaceConfig(config: unknown, generation?: unknown): TransformerConfig {
  const values = ConfigValues.of('config.json', config);
  const kind = values.text('model_type');
  const family = families.find(({ modelType }) => modelType === kind);
  if (!family) {
    throw values.unsupported('model_type', kind, families.map(({ modelType }) => modelType).join(', '));
  }
  const eosIds = ConfigValues.of('generation_config.json', generation ?? {}).ids('eos_token_id');
  const [bosId] = values.ids('bos_token_id');
  return checkConfig('config.json', {
    architecture: family.name,
    ...family.fromHuggingFace(values),
    ...(bosId === undefined ? {} : { bosId }),
    eosIds: eosIds.length > 0 ? eosIds : values.ids('eos_token_id'),
  });
}

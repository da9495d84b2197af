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
  return languageConfig(values, values.text('model_type'), generation);
}

/**
 * The configuration of a language model, perhaps a part of a larger one.
 * @param outer The larger model's values, whose ids of special tokens stand in for those that the part lacks.
 * @throws ModelConfigError
 */
export function languageConfig(
  values: ConfigValues,
  kind: string,
  generation: unknown,
  outer: ConfigValues = values,
): TransformerConfig {
  const family = families.find(({ modelType }) => modelType === kind);
  if (!family) {
    const known = families.map(({ modelType }) => modelType).join(', ');
    const seeing = values.has('vision_config') ? '; models that see are loaded with loadVisionLanguageModel' : '';
    throw values.unsupported('model_type', kind, known + seeing);
  }
  const generated = ConfigValues.of('generation_config.json', generation ?? {}).ids('eos_token_id');
  const idsOf = (name: string) => {
    const own = values.ids(name);
    return own.length > 0 ? own : outer.ids(name);
  };
  const [bosId] = idsOf('bos_token_id');
  return checkConfig('config.json', {
    architecture: family.name,
    ...family.fromHuggingFace(values),
    ...(bosId === undefined ? {} : { bosId }),
    eosIds: generated.length > 0 ? generated : idsOf('eos_token_id'),
  });
}

import type { ModelFiles } from '../resolve/types.ts';
import { ConfigValues } from '../weights/config-values.ts';
import { languageConfig } from '../weights/huggingface-config.ts';
import { readJson, readOptionalJson } from '../weights/json-file.ts';
import { ModelConfigError } from '../weights/model-config.ts';
import { idefics3 } from './families/idefics3.ts';
import { llava } from './families/llava.ts';
import { qwen2Vl } from './families/qwen2-vl.ts';
import type { VisionFamily, VisionLanguageConfig } from './vision-language-config.ts';

/** Every supported architecture. */
const families: readonly VisionFamily[] = [llava, idefics3, qwen2Vl];

/** `model_type`s of models that see. */
export const visionModelTypes: readonly string[] = families.flatMap(({ modelTypes }) => modelTypes);

/** The configuration of a vision-language checkpoint and its image processor. @throws ModelConfigError, WeightFileError */
export async function readVisionLanguageConfig(files: ModelFiles): Promise<VisionLanguageConfig> {
  if (!files.names.includes('config.json')) {
    throw new ModelConfigError('missing', `${files.location} has no config.json beside its weights.`);
  }
  const values = ConfigValues.of('config.json', await readJson(files, 'config.json'));
  const modelType = values.text('model_type');
  const family = families.find(({ modelTypes }) => modelTypes.includes(modelType));
  if (!family) throw values.unsupported('model_type', modelType, visionModelTypes.join(', '));
  const generation = await readOptionalJson(files, 'generation_config.json');
  return family.read(values, await processorValues(files), (text, type) =>
    languageConfig(text, type, generation, values),
  );
}

/** The image processor's values: in a file of its own, or as a part of the whole processor's. */
async function processorValues(files: ModelFiles): Promise<ConfigValues> {
  const whole = await readOptionalJson(files, 'processor_config.json');
  const part =
    whole === undefined ? undefined : ConfigValues.of('processor_config.json', whole).object('image_processor');
  if (part) return part;
  return ConfigValues.of('preprocessor_config.json', (await readOptionalJson(files, 'preprocessor_config.json')) ?? {});
}

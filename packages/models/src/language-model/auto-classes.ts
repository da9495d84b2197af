import { type Gpu, RefusedError } from '@saccade/core';
import { resolveModel } from '../resolve/resolve-model.ts';
import type { ModelSourceName, ResolveOptions } from '../resolve/types.ts';
import { loadTokenizer } from '../tokenizer/load-tokenizer.ts';
import type { Tokenizer } from '../tokenizer/types.ts';
import { loadVisionLanguageModel } from '../vision-language/load-vision-language-model.ts';
import type { VisionLanguageModel } from '../vision-language/vision-language-model.ts';
import type { LoadDtype } from '../weights/loadable-weights.ts';
import { openWeights } from '../weights/open-weights.ts';
import { readModelConfig } from '../weights/read-model-config.ts';
import type { LanguageModel } from './language-model.ts';
import { loadLanguageModel } from './load-language-model.ts';

/** Options under the names that transformers gives them; all others are those of `loadLanguageModel`. */
export interface PretrainedOptions extends Omit<ResolveOptions, 'sources' | 'hubCacheFolder' | 'onProgress'> {
  /** Default `$HF_HUB_CACHE`, `$HF_HOME/hub` or `~/.cache/huggingface/hub`. */
  readonly cacheDir?: string;
  /** Take what is on this machine; ask no network. */
  readonly localFilesOnly?: boolean;
}

export interface PretrainedModelOptions extends PretrainedOptions {
  readonly gpu: Gpu;
  /** transformers' names of types, or ours. Default `auto`. */
  readonly dtype?: 'auto' | 'float32' | 'float16' | LoadDtype;
  /** Called with the share that is done, in [0, 1]. */
  readonly onProgress?: (share: number) => void;
}

const onThisMachine: readonly ModelSourceName[] = ['local', 'cache'];

/** Models that continue a text: Llama, Qwen, Gemma, GPT. Loads what {@link loadLanguageModel} loads, under transformers' names. */
export const AutoModelForCausalLM = {
  /** @throws RefusedError for a bidirectional model; as {@link loadLanguageModel} */
  fromPretrained: (nameOrPath: string, options: PretrainedModelOptions): Promise<LanguageModel> =>
    loadDirected(nameOrPath, options, true),
} as const;

/** Models that fill masks in a text: BERT. */
export const AutoModelForMaskedLM = {
  /** @throws RefusedError for a causal model; as {@link loadLanguageModel} */
  fromPretrained: (nameOrPath: string, options: PretrainedModelOptions): Promise<LanguageModel> =>
    loadDirected(nameOrPath, options, false),
} as const;

/** Models that see: LLaVA, Idefics3 and SmolVLM, Qwen2-VL. Loads what {@link loadVisionLanguageModel} loads, under transformers' names. */
export const AutoModelForImageTextToText = {
  /** @throws as {@link loadVisionLanguageModel} */
  fromPretrained: (
    nameOrPath: string,
    { gpu, dtype, onProgress, ...options }: PretrainedModelOptions,
  ): Promise<VisionLanguageModel> =>
    loadVisionLanguageModel(gpu, nameOrPath, { ...resolveOptions(options), onProgress, dtype: ownDtype(dtype) }),
} as const;

/** A model's tokenizer without its weights on a GPU. */
export const AutoTokenizer = {
  /** @throws ModelNotFoundError, TokenizerError, ModelConfigError, WeightFileError */
  async fromPretrained(nameOrPath: string, options: PretrainedOptions = {}): Promise<Tokenizer> {
    const files = await resolveModel(nameOrPath, resolveOptions(options));
    const weights = await openWeights(files);
    try {
      return await loadTokenizer(weights, await readModelConfig(weights, files), files);
    } finally {
      await weights.close();
    }
  },
} as const;

async function loadDirected(
  nameOrPath: string,
  { gpu, dtype, onProgress, ...options }: PretrainedModelOptions,
  causal: boolean,
): Promise<LanguageModel> {
  const model = await loadLanguageModel(gpu, nameOrPath, {
    ...resolveOptions(options),
    onProgress,
    dtype: ownDtype(dtype),
  });
  if (model.facts.causal === causal) return model;
  model.dispose();
  const other = causal
    ? 'bidirectional: load it with AutoModelForMaskedLM'
    : 'causal: load it with AutoModelForCausalLM';
  throw new RefusedError(`${nameOrPath} is ${other}.`);
}

function ownDtype(dtype: PretrainedModelOptions['dtype']): LoadDtype | undefined {
  return dtype === 'float32' ? 'f32' : dtype === 'float16' ? 'f16' : dtype;
}

function resolveOptions({ cacheDir, localFilesOnly, ...options }: PretrainedOptions): ResolveOptions {
  return { ...options, hubCacheFolder: cacheDir, ...(localFilesOnly ? { sources: onThisMachine } : {}) };
}

import type { Gpu } from '@saccade/core';
import { seededRandom } from '@saccade/core/testing';
import { Transformer } from '../architectures/transformer/transformer.ts';
import { LanguageModel } from '../language-model/language-model.ts';
import { MaskedDiffusionModel } from '../masked-diffusion/masked-diffusion-model.ts';
import { commonConfig, type TransformerConfig } from '../weights/model-config.ts';
import { ByteTokenizer } from './byte-tokenizer.ts';
import { memoryWeightFile } from './memory-weight-file.ts';

export interface RandomLlamaOptions {
  readonly seed?: number;
  /** Sets a tensor's values by hand; returns undefined to leave them random. Row-major, Hugging Face names. */
  readonly edit?: (name: string, shape: readonly number[]) => ArrayLike<number> | undefined;
}

/** A configuration that is small enough for tests: 4 layers, 4 query heads on 2 key/value heads of 16. */
export const smallLlamaConfig: TransformerConfig = {
  ...commonConfig,
  architecture: 'llama',
  vocabularySize: 256,
  hiddenSize: 64,
  layers: 4,
  heads: 4,
  kvHeads: 2,
  headSize: 16,
  intermediateSize: 96,
  norm: { kind: 'rms', epsilon: 1e-5, placement: 'before' },
  positions: { kind: 'rotary', size: 16, layout: 'half', global: { theta: 10_000 } },
  layerKinds: ['global', 'global', 'global', 'global'],
  tieWordEmbeddings: true,
  contextLength: 4096,
  eosIds: [0],
};

/**
 * A Llama with seeded random weights. A tensor's values depend on its name and the seed only, so that fewer layers make a
 * prefix. Layers are global where `config.layerKinds` does not say otherwise.
 */
export async function randomLlama(
  gpu: Gpu,
  config: Partial<TransformerConfig> = {},
  options: RandomLlamaOptions = {},
): Promise<LanguageModel> {
  const full = completeConfig(config);
  return new LanguageModel(await randomNetwork(gpu, full, options), new ByteTokenizer(full.vocabularySize));
}

/** A masked-diffusion language model with seeded random weights, of the same sizes; the last token of its vocabulary is the mask. */
export async function randomMaskedDiffusion(
  gpu: Gpu,
  config: Partial<TransformerConfig> = {},
  options: RandomLlamaOptions = {},
): Promise<MaskedDiffusionModel> {
  const { vocabularySize } = { ...smallLlamaConfig, ...config };
  const maskedDiffusion = { maskId: vocabularySize - 1, logits: 'own' } as const;
  const full = completeConfig({ causal: false, maskedDiffusion, ...config });
  const network = await randomNetwork(gpu, full, options);
  return new MaskedDiffusionModel(network, new ByteTokenizer(vocabularySize), full.maskedDiffusion ?? maskedDiffusion);
}

function completeConfig(config: Partial<TransformerConfig>): TransformerConfig {
  const layers = config.layers ?? smallLlamaConfig.layers;
  return { ...smallLlamaConfig, layerKinds: new Array(layers).fill('global'), ...config };
}

async function randomNetwork(gpu: Gpu, full: TransformerConfig, options: RandomLlamaOptions): Promise<Transformer> {
  const tensors = new Map<string, { shape: readonly number[]; data: Float32Array }>();
  for (const [name, shape] of llamaShapes(full)) {
    const edited = options.edit?.(name, shape);
    tensors.set(name, {
      shape,
      data: edited ? Float32Array.from(edited) : randomWeights(name, shape, options.seed ?? 0),
    });
  }
  return Transformer.load(gpu, 'random-llama', full, memoryWeightFile(tensors));
}

function randomWeights(name: string, shape: readonly number[], seed: number): Float32Array {
  const size = shape.reduce((product, count) => product * count, 1);
  if (shape.length === 1) return new Float32Array(size).fill(1);
  let hash = seed + 1;
  for (const character of name) hash = (Math.imul(hash, 31) + character.charCodeAt(0)) | 0;
  const next = seededRandom(hash >>> 0);
  const scale = name.includes('embed') || name.includes('lm_head') ? 1 : 2.5 / Math.sqrt(shape[1] as number);
  return Float32Array.from({ length: size }, () => (2 * next() - 1) * scale);
}

function* llamaShapes(config: TransformerConfig): Generator<[name: string, shape: number[]]> {
  const { hiddenSize, heads, kvHeads, headSize, intermediateSize, vocabularySize } = config;
  yield ['model.embed_tokens.weight', [vocabularySize, hiddenSize]];
  for (let layer = 0; layer < config.layers; layer++) {
    const at = `model.layers.${layer}`;
    yield [`${at}.input_layernorm.weight`, [hiddenSize]];
    yield [`${at}.self_attn.q_proj.weight`, [heads * headSize, hiddenSize]];
    yield [`${at}.self_attn.k_proj.weight`, [kvHeads * headSize, hiddenSize]];
    yield [`${at}.self_attn.v_proj.weight`, [kvHeads * headSize, hiddenSize]];
    yield [`${at}.self_attn.o_proj.weight`, [hiddenSize, heads * headSize]];
    yield [`${at}.post_attention_layernorm.weight`, [hiddenSize]];
    yield [`${at}.mlp.gate_proj.weight`, [intermediateSize, hiddenSize]];
    yield [`${at}.mlp.up_proj.weight`, [intermediateSize, hiddenSize]];
    yield [`${at}.mlp.down_proj.weight`, [hiddenSize, intermediateSize]];
  }
  yield ['model.norm.weight', [hiddenSize]];
  if (!config.tieWordEmbeddings) yield ['lm_head.weight', [vocabularySize, hiddenSize]];
}

import type { ConfigValues } from '../../weights/config-values.ts';
import { ggufRotary, ggufRotarySize } from '../../weights/gguf/gguf-rotary.ts';
import { huggingFaceActivation } from '../../weights/huggingface-activation.ts';
import { huggingFaceLayerKinds } from '../../weights/huggingface-layer-kinds.ts';
import { huggingFaceRotary } from '../../weights/huggingface-rotary.ts';
import { huggingFaceSizes } from '../../weights/huggingface-sizes.ts';
import { commonConfig, type TransformerConfig } from '../../weights/model-config.ts';
import type { Family, GgufShared, TokenIds } from './family.ts';
import { llamaNames } from './llama.ts';
import { outputGate } from './output-gate.ts';

type Difference = Pick<TransformerConfig, 'biases' | 'queryKeyNorm'>;

const contextLength = 32_768;

function fromHuggingFace(
  values: ConfigValues,
  difference: Difference,
  headSize?: number,
): Omit<TransformerConfig, TokenIds | 'architecture'> {
  const sizes = huggingFaceSizes(values, { contextLength, ...(headSize ? { headSize } : {}) });
  const windowed = values.flag('use_sliding_window', false);
  const firstWindow = values.natural('max_window_layers', 28);
  return {
    ...commonConfig,
    ...sizes,
    ...difference,
    activation: huggingFaceActivation(values, 'hidden_act', 'silu'),
    norm: { kind: 'rms', epsilon: values.positive('rms_norm_eps', 1e-6), placement: 'before' },
    positions: {
      kind: 'rotary',
      size: sizes.headSize,
      layout: 'half',
      global: huggingFaceRotary(values, sizes.contextLength),
    },
    layerKinds: huggingFaceLayerKinds(values, sizes.layers, (index) => windowed && index >= firstWindow),
    ...(windowed ? { slidingWindow: values.count('sliding_window', 4096) } : {}),
    tieWordEmbeddings: values.flag('tie_word_embeddings', false),
  };
}

function fromGguf(
  values: ConfigValues,
  shared: GgufShared,
  difference: Difference,
): Omit<TransformerConfig, TokenIds | 'architecture'> {
  return {
    ...commonConfig,
    ...shared,
    ...difference,
    norm: { kind: 'rms', epsilon: values.positive('attention.layer_norm_rms_epsilon'), placement: 'before' },
    positions: {
      kind: 'rotary',
      size: ggufRotarySize(values, shared.headSize),
      layout: 'half',
      global: ggufRotary(values),
    },
    layerKinds: new Array(shared.layers).fill('global'),
  };
}

const biased: Difference = { biases: { qkv: true, output: false, mlp: false }, queryKeyNorm: false };

/** Qwen2 and Qwen2.5: Llama with biases on query, key and value. */
export const qwen2: Family = {
  name: 'qwen2',
  names: llamaNames,
  modelType: 'qwen2',
  fromHuggingFace: (values) => fromHuggingFace(values, biased),
  gguf: { architecture: 'qwen2', read: (values, shared) => fromGguf(values, shared, biased) },
};

/** Qwen3: norms of each head's query and key instead of the biases; with a gate on attention's output in some checkpoints. */
export const qwen3: Family = {
  name: 'qwen3',
  names: {
    ...llamaNames,
    parts: { ...llamaNames.parts, queryNorm: 'self_attn.q_norm', keyNorm: 'self_attn.k_norm' },
  },
  modelType: 'qwen3',
  fromHuggingFace(values) {
    const bias = values.flag('attention_bias', false);
    const difference = {
      biases: { qkv: values.flag('qkv_bias', bias), output: bias, mlp: false },
      queryKeyNorm: values.flag('use_qk_norm', true),
    };
    return { ...fromHuggingFace(values, difference, 128), ...outputGate(values) };
  },
  gguf: {
    architecture: 'qwen3',
    read: (values, shared) => fromGguf(values, shared, { biases: commonConfig.biases, queryKeyNorm: true }),
  },
};

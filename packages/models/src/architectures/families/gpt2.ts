import { huggingFaceActivation } from '../../weights/huggingface-activation.ts';
import { commonConfig } from '../../weights/model-config.ts';
import type { Family } from './family.ts';

const shape = {
  ...commonConfig,
  gatedMlp: false,
  biases: { qkv: true, output: true, mlp: true },
  positions: { kind: 'learned', tokenTypes: 0 },
} as const;

/** GPT-2: layer norms, learned positions, a plain MLP, matrices as the inputs of Conv1D. */
export const gpt2: Family = {
  name: 'gpt2',
  names: {
    prefix: 'transformer.',
    outer: {
      embedding: 'transformer.wte',
      positionEmbedding: 'transformer.wpe',
      finalNorm: 'transformer.ln_f',
      head: 'lm_head',
    },
    layers: 'transformer.h',
    parts: {
      attentionNorm: 'ln_1',
      qkv: 'attn.c_attn',
      output: 'attn.c_proj',
      mlpNorm: 'ln_2',
      up: 'mlp.c_fc',
      down: 'mlp.c_proj',
    },
  },
  modelType: 'gpt2',
  fromHuggingFace(values) {
    for (const [name, allowed] of [
      ['scale_attn_weights', true],
      ['scale_attn_by_inverse_layer_idx', false],
      ['add_cross_attention', false],
    ] as const) {
      const given = values.flag(name, allowed);
      if (given !== allowed) throw values.unsupported(name, given, String(allowed));
    }
    const hiddenSize = values.count('n_embd');
    const layers = values.count('n_layer');
    const heads = values.count('n_head');
    return {
      ...shape,
      vocabularySize: values.count('vocab_size'),
      hiddenSize,
      layers,
      heads,
      kvHeads: heads,
      headSize: hiddenSize / heads,
      intermediateSize: values.count('n_inner', 4 * hiddenSize),
      activation: huggingFaceActivation(values, 'activation_function', 'gelu_new'),
      norm: { kind: 'layer', epsilon: values.positive('layer_norm_epsilon', 1e-5), placement: 'before' },
      layerKinds: new Array(layers).fill('global'),
      tieWordEmbeddings: values.flag('tie_word_embeddings', true),
      storage: { qkv: 'joint', transposed: true, normOffset: 0 },
      contextLength: values.count('n_positions', 1024),
    };
  },
  gguf: {
    architecture: 'gpt2',
    read(values, shared) {
      return {
        ...shape,
        ...shared,
        activation: 'geluTanh',
        norm: { kind: 'layer', epsilon: values.positive('attention.layer_norm_epsilon'), placement: 'before' },
        layerKinds: new Array(shared.layers).fill('global'),
        storage: { qkv: 'joint', transposed: false, normOffset: 0 },
      };
    },
  },
};

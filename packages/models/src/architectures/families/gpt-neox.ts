import { huggingFaceActivation } from '../../weights/huggingface-activation.ts';
import { rotaryFrequencies } from '../../weights/huggingface-rotary.ts';
import { huggingFaceSizes } from '../../weights/huggingface-sizes.ts';
import { commonConfig } from '../../weights/model-config.ts';
import type { Family } from './family.ts';

/** GPT-NeoX and Pythia: layer norms, parallel branches, partly rotating heads, a plain MLP. */
export const gptNeoX: Family = {
  name: 'gpt-neox',
  names: {
    outer: { embedding: 'gpt_neox.embed_in', finalNorm: 'gpt_neox.final_layer_norm', head: 'embed_out' },
    layers: 'gpt_neox.layers',
    parts: {
      attentionNorm: 'input_layernorm',
      qkv: 'attention.query_key_value',
      output: 'attention.dense',
      mlpNorm: 'post_attention_layernorm',
      up: 'mlp.dense_h_to_4h',
      down: 'mlp.dense_4h_to_h',
    },
  },
  modelType: 'gpt_neox',
  fromHuggingFace(values) {
    const sizes = huggingFaceSizes(values, { contextLength: 2048 });
    const parameters = values.object('rope_parameters') ?? values.object('rope_scaling');
    const theta = parameters?.has('rope_theta')
      ? parameters.positive('rope_theta')
      : values.positive('rotary_emb_base', 10_000);
    const share = parameters?.has('partial_rotary_factor')
      ? parameters.positive('partial_rotary_factor')
      : values.positive('rotary_pct', 0.25);
    const bias = values.flag('attention_bias', true);
    return {
      ...commonConfig,
      ...sizes,
      activation: huggingFaceActivation(values, 'hidden_act', 'gelu'),
      gatedMlp: false,
      norm: { kind: 'layer', epsilon: values.positive('layer_norm_eps', 1e-5), placement: 'before' },
      parallelBranches: values.flag('use_parallel_residual', true),
      biases: { qkv: bias, output: bias, mlp: true },
      positions: {
        kind: 'rotary',
        size: Math.floor(sizes.headSize * share),
        layout: 'half',
        global: rotaryFrequencies(parameters, theta, sizes.contextLength),
      },
      layerKinds: new Array(sizes.layers).fill('global'),
      tieWordEmbeddings: values.flag('tie_word_embeddings', false),
      storage: { ...commonConfig.storage, qkv: 'jointByHead' },
    };
  },
};

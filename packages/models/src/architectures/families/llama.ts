import { ggufRotary, ggufRotarySize } from '../../weights/gguf/gguf-rotary.ts';
import { huggingFaceActivation } from '../../weights/huggingface-activation.ts';
import { huggingFaceRotary } from '../../weights/huggingface-rotary.ts';
import { huggingFaceSizes } from '../../weights/huggingface-sizes.ts';
import { commonConfig } from '../../weights/model-config.ts';
import type { Family, WeightNames } from './family.ts';
import { outputGate } from './output-gate.ts';

/** Names that many later architectures have taken over. */
export const llamaNames = {
  outer: { embedding: 'model.embed_tokens', finalNorm: 'model.norm', head: 'lm_head' },
  layers: 'model.layers',
  parts: {
    attentionNorm: 'input_layernorm',
    query: 'self_attn.q_proj',
    key: 'self_attn.k_proj',
    value: 'self_attn.v_proj',
    output: 'self_attn.o_proj',
    outputGate: 'self_attn.gate_proj',
    mlpNorm: 'post_attention_layernorm',
    gate: 'mlp.gate_proj',
    up: 'mlp.up_proj',
    down: 'mlp.down_proj',
  },
} as const satisfies WeightNames;

/**
 * Llama 1 to 3, SmolLM2 and others: RMSNorm, rotary positions, grouped-query attention, gated SiLU MLP; with a gate on attention's
 * output where the file says so.
 */
export const llama: Family = {
  name: 'llama',
  names: llamaNames,
  modelType: 'llama',
  fromHuggingFace(values) {
    const sizes = huggingFaceSizes(values, { contextLength: 2048 });
    const biased = values.flag('attention_bias', false);
    const rotary = huggingFaceRotary(values, sizes.contextLength);
    return {
      ...commonConfig,
      ...sizes,
      activation: huggingFaceActivation(values, 'hidden_act', 'silu'),
      norm: { kind: 'rms', epsilon: values.positive('rms_norm_eps', 1e-6), placement: 'before' },
      biases: { qkv: biased, output: biased, mlp: values.flag('mlp_bias', false) },
      positions: { kind: 'rotary', size: sizes.headSize, layout: 'half', global: rotary },
      layerKinds: new Array(sizes.layers).fill('global'),
      tieWordEmbeddings: values.flag('tie_word_embeddings', false),
      ...outputGate(values),
    };
  },
  gguf: {
    architecture: 'llama',
    read(values, shared) {
      return {
        ...commonConfig,
        ...shared,
        norm: { kind: 'rms', epsilon: values.positive('attention.layer_norm_rms_epsilon'), placement: 'before' },
        positions: {
          kind: 'rotary',
          size: ggufRotarySize(values, shared.headSize),
          layout: 'interleaved',
          global: ggufRotary(values),
        },
        layerKinds: new Array(shared.layers).fill('global'),
      };
    },
  },
};

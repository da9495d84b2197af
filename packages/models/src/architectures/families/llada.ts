import { huggingFaceActivation } from '../../weights/huggingface-activation.ts';
import { commonConfig } from '../../weights/model-config.ts';
import type { Family } from './family.ts';

/** LLaDA (Nie et al., 2025): a Llama without a causal mask that fills in masked tokens, under OLMo's names. */
export const llada: Family = {
  name: 'llada',
  names: {
    outer: {
      embedding: 'model.transformer.wte',
      finalNorm: 'model.transformer.ln_f',
      head: 'model.transformer.ff_out',
    },
    layers: 'model.transformer.blocks',
    parts: {
      attentionNorm: 'attn_norm',
      query: 'q_proj',
      key: 'k_proj',
      value: 'v_proj',
      output: 'attn_out',
      mlpNorm: 'ff_norm',
      gate: 'ff_proj',
      up: 'up_proj',
      down: 'ff_out',
    },
  },
  modelType: 'llada',
  fromHuggingFace(values) {
    values.only('block_type', 'llama', ['llama']);
    values.only('layer_norm_type', 'rms', ['rms']);
    for (const name of ['alibi', 'scale_logits', 'input_emb_norm', 'attention_layer_norm'] as const) {
      if (values.flag(name, false)) throw values.unsupported(name, true, 'false');
    }
    if (!values.flag('rope', true)) throw values.unsupported('rope', false, 'true');
    const hiddenSize = values.count('d_model');
    const heads = values.count('n_heads');
    const layers = values.count('n_layers');
    const headSize = hiddenSize / heads;
    const biased = values.flag('include_bias', false);
    return {
      ...commonConfig,
      causal: false,
      maskedDiffusion: { maskId: values.natural('mask_token_id', 126_336), logits: 'own' },
      vocabularySize: values.count('embedding_size', values.count('vocab_size')),
      hiddenSize,
      layers,
      heads,
      kvHeads: values.count('n_kv_heads', heads),
      headSize,
      intermediateSize: values.count('mlp_hidden_size', values.count('mlp_ratio', 4) * hiddenSize),
      contextLength: values.count('max_sequence_length', 4096),
      activation: huggingFaceActivation(values, 'activation_type', 'silu'),
      norm: { kind: 'rms', epsilon: values.positive('rms_norm_eps', 1e-5), placement: 'before' },
      biases: { qkv: values.flag('include_qkv_bias', biased), output: biased, mlp: biased },
      positions: {
        kind: 'rotary',
        size: headSize,
        layout: 'half',
        global: { theta: values.positive('rope_theta', 10_000) },
      },
      layerKinds: new Array(layers).fill('global'),
      tieWordEmbeddings: values.flag('weight_tying', false),
    };
  },
};

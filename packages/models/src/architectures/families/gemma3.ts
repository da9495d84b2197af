import type { ConfigValues } from '../../weights/config-values.ts';
import { ggufRotary, ggufRotarySize } from '../../weights/gguf/gguf-rotary.ts';
import { huggingFaceActivation } from '../../weights/huggingface-activation.ts';
import { huggingFaceLayerKinds } from '../../weights/huggingface-layer-kinds.ts';
import { rotaryFrequencies } from '../../weights/huggingface-rotary.ts';
import { huggingFaceSizes } from '../../weights/huggingface-sizes.ts';
import { commonConfig, type RotaryFrequencies } from '../../weights/model-config.ts';
import type { Family } from './family.ts';
import { llamaNames } from './llama.ts';

/** Every sixth layer is global. */
const windowPattern = 6;
const layersOf27B = 62;
const globalTheta = 1_000_000;
const windowTheta = 10_000;

/** Gemma 3 (text): norms on both sides of each branch, a window in five of six layers, its own rotary base in each kind. */
export const gemma3: Family = {
  name: 'gemma3',
  names: {
    ...llamaNames,
    parts: {
      ...llamaNames.parts,
      queryNorm: 'self_attn.q_norm',
      keyNorm: 'self_attn.k_norm',
      attentionPostNorm: 'post_attention_layernorm',
      mlpNorm: 'pre_feedforward_layernorm',
      mlpPostNorm: 'post_feedforward_layernorm',
    },
  },
  modelType: 'gemma3_text',
  fromHuggingFace(values) {
    if (values.has('attn_logit_softcapping')) {
      const cap = values.positive('attn_logit_softcapping');
      throw values.unsupported('attn_logit_softcapping', cap, 'absent');
    }
    if (values.flag('use_bidirectional_attention', false)) {
      throw values.unsupported('use_bidirectional_attention', true, 'false');
    }
    const sizes = huggingFaceSizes(values, { headSize: 256, contextLength: 131_072 });
    const pattern = values.count('sliding_window_pattern', windowPattern);
    const bias = values.flag('attention_bias', false);
    return {
      ...commonConfig,
      ...sizes,
      activation: huggingFaceActivation(values, 'hidden_activation', 'gelu_pytorch_tanh'),
      norm: { kind: 'rms', epsilon: values.positive('rms_norm_eps', 1e-6), placement: 'both' },
      queryKeyNorm: true,
      biases: { qkv: bias, output: bias, mlp: false },
      positions: { kind: 'rotary', size: sizes.headSize, layout: 'half', ...readRotary(values, sizes.contextLength) },
      attentionScale: values.positive('query_pre_attn_scalar', 256) ** -0.5,
      layerKinds: huggingFaceLayerKinds(values, sizes.layers, (index) => (index + 1) % pattern !== 0),
      slidingWindow: values.count('sliding_window', 4096),
      embeddingScale: Math.sqrt(sizes.hiddenSize),
      ...(values.has('final_logit_softcapping') ? { logitSoftCap: values.positive('final_logit_softcapping') } : {}),
      tieWordEmbeddings: values.flag('tie_word_embeddings', true),
      storage: { ...commonConfig.storage, normOffset: 1 },
    };
  },
  gguf: {
    architecture: 'gemma3',
    read(values, shared) {
      const pattern = values.count('attention.sliding_window_pattern', windowPattern);
      return {
        ...commonConfig,
        ...shared,
        activation: 'geluTanh',
        norm: { kind: 'rms', epsilon: values.positive('attention.layer_norm_rms_epsilon'), placement: 'both' },
        queryKeyNorm: true,
        positions: {
          kind: 'rotary',
          size: ggufRotarySize(values, shared.headSize),
          layout: 'half',
          global: ggufRotary(values, globalTheta),
          window: { theta: values.positive('rope.freq_base_swa', windowTheta) },
        },
        layerKinds: Array.from({ length: shared.layers }, (_, index) => ((index + 1) % pattern ? 'window' : 'global')),
        slidingWindow: values.count('attention.sliding_window'),
        embeddingScale: Math.sqrt(shared.hiddenSize),
        // GGUF files do not tell; only the 27B model, known by its depth, has another scale than 1 / sqrt(D).
        ...(shared.layers === layersOf27B ? { attentionScale: (shared.hiddenSize / shared.heads) ** -0.5 } : {}),
      };
    },
  },
};

/** Newer files list the parameters of each kind of layer; in older ones scaling is that of the global layers. */
function readRotary(
  values: ConfigValues,
  contextLength: number,
): { readonly global: RotaryFrequencies; readonly window: RotaryFrequencies } {
  const listed = values.object('rope_parameters');
  const globals = listed ? listed.object('full_attention') : values.object('rope_scaling');
  const windows = listed?.object('sliding_attention');
  const theta = (own: ConfigValues | undefined, name: string, fallback: number) =>
    own?.has('rope_theta') ? own.positive('rope_theta') : values.positive(name, fallback);
  return {
    global: rotaryFrequencies(globals, theta(globals, 'rope_theta', globalTheta), contextLength),
    window: rotaryFrequencies(windows, theta(windows, 'rope_local_base_freq', windowTheta), contextLength),
  };
}

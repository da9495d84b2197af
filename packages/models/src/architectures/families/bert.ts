import { huggingFaceActivation } from '../../weights/huggingface-activation.ts';
import { huggingFaceSizes } from '../../weights/huggingface-sizes.ts';
import { commonConfig } from '../../weights/model-config.ts';
import type { Family } from './family.ts';

/** BERT: bidirectional, norms after each sum, learned positions and token types, a masked-language head. */
export const bert: Family = {
  name: 'bert',
  names: {
    prefix: 'bert.',
    outer: {
      embedding: 'bert.embeddings.word_embeddings',
      positionEmbedding: 'bert.embeddings.position_embeddings',
      tokenTypeEmbedding: 'bert.embeddings.token_type_embeddings',
      embeddingNorm: 'bert.embeddings.LayerNorm',
      head: 'cls.predictions.decoder',
      headTransform: 'cls.predictions.transform.dense',
      headNorm: 'cls.predictions.transform.LayerNorm',
      headBias: 'cls.predictions',
    },
    layers: 'bert.encoder.layer',
    parts: {
      query: 'attention.self.query',
      key: 'attention.self.key',
      value: 'attention.self.value',
      output: 'attention.output.dense',
      attentionNorm: 'attention.output.LayerNorm',
      up: 'intermediate.dense',
      down: 'output.dense',
      mlpNorm: 'output.LayerNorm',
    },
  },
  modelType: 'bert',
  fromHuggingFace(values) {
    values.only('position_embedding_type', 'absolute', ['absolute']);
    if (values.flag('is_decoder', false)) throw values.unsupported('is_decoder', true, 'false');
    const sizes = huggingFaceSizes(values, { contextLength: 512 });
    return {
      ...commonConfig,
      ...sizes,
      causal: false,
      activation: huggingFaceActivation(values, 'hidden_act', 'gelu'),
      gatedMlp: false,
      norm: { kind: 'layer', epsilon: values.positive('layer_norm_eps', 1e-12), placement: 'after' },
      biases: { qkv: true, output: true, mlp: true },
      positions: { kind: 'learned', tokenTypes: values.count('type_vocab_size', 2) },
      layerKinds: new Array(sizes.layers).fill('global'),
      headTransform: true,
      tieWordEmbeddings: values.flag('tie_word_embeddings', true),
    };
  },
};

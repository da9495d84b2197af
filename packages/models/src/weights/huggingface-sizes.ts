import type { ConfigValues } from './config-values.ts';
import type { TransformerConfig } from './model-config.ts';

/**
 * Sizes under the names that Llama and most later architectures give them in config.json.
 * @param defaults transformers' own for the architecture, where a file may leave them out.
 * @throws ModelConfigError
 */
export function huggingFaceSizes(
  values: ConfigValues,
  defaults: { readonly headSize?: number; readonly contextLength: number },
): Pick<
  TransformerConfig,
  'vocabularySize' | 'hiddenSize' | 'layers' | 'heads' | 'kvHeads' | 'headSize' | 'intermediateSize' | 'contextLength'
> {
  const hiddenSize = values.count('hidden_size');
  const heads = values.count('num_attention_heads');
  return {
    vocabularySize: values.count('vocab_size'),
    hiddenSize,
    layers: values.count('num_hidden_layers'),
    heads,
    kvHeads: values.count('num_key_value_heads', heads),
    headSize: values.count('head_dim', defaults.headSize ?? hiddenSize / heads),
    intermediateSize: values.count('intermediate_size'),
    contextLength: values.count('max_position_embeddings', defaults.contextLength),
  };
}

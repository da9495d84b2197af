import type { ConfigValues } from './config-values.ts';
import type { TransformerConfig } from './model-config.ts';

/** transformers' names of activations that are supported. */
const activations: Readonly<Record<string, TransformerConfig['activation']>> = {
  silu: 'silu',
  swish: 'silu',
  gelu: 'gelu',
  gelu_new: 'geluTanh',
  gelu_fast: 'geluTanh',
  gelu_pytorch_tanh: 'geluTanh',
  quick_gelu: 'geluSigmoid',
};

/** The activation that config.json names. @throws ModelConfigError */
export function huggingFaceActivation(
  values: ConfigValues,
  name: string,
  fallback: string,
): TransformerConfig['activation'] {
  return activations[values.only(name, fallback, Object.keys(activations))] as TransformerConfig['activation'];
}

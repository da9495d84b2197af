import type { ConfigValues } from '../../weights/config-values.ts';
import { commonConfig, type TransformerConfig } from '../../weights/model-config.ts';

/**
 * The gate of "Gated Attention for Large Language Models" (Qiu et al., 2025), whose checkpoints are Qwen3 with these flags, as part of a
 * configuration; nothing where there is none. `attn_output_gate_layout` is this project's own: how the file holds the gate, where it differs from theirs.
 */
export function outputGate(values: ConfigValues): Partial<Pick<TransformerConfig, 'outputGate' | 'storage'>> {
  const elementwise = values.flag('elementwise_attn_output_gate', false);
  const headwise = values.flag('headwise_attn_output_gate', false);
  if (elementwise && headwise) {
    throw values.invalid('headwise_attn_output_gate', true, 'false beside elementwise_attn_output_gate');
  }
  if (!elementwise && !headwise) return {};
  const layout = values.only('attn_output_gate_layout', 'grouped', ['grouped', 'perHead', 'separate']);
  return {
    outputGate: elementwise ? 'elementwise' : 'headwise',
    storage: { ...commonConfig.storage, outputGate: layout },
  };
}

/** GGUF's names of a layer's parts, by architecture, and the canonical ones. */
const layerParts: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  llama: {
    attn_norm: 'input_layernorm',
    attn_q: 'self_attn.q_proj',
    attn_k: 'self_attn.k_proj',
    attn_v: 'self_attn.v_proj',
    attn_output: 'self_attn.o_proj',
    ffn_norm: 'post_attention_layernorm',
    ffn_gate: 'mlp.gate_proj',
    ffn_up: 'mlp.up_proj',
    ffn_down: 'mlp.down_proj',
  },
};

const outerParts: Readonly<Record<string, string>> = {
  token_embd: 'model.embed_tokens',
  output_norm: 'model.norm',
  output: 'lm_head',
};

/**
 * Canonical name of a tensor in a GGUF file: `blk.3.attn_q.weight` is `model.layers.3.self_attn.q_proj.weight`.
 * Names that are not known stay as they are.
 */
export function canonicalName(architecture: string, storedName: string): string {
  const [, layer, part = '', kind = ''] = /^(?:blk\.(\d+)\.)?(\w+)\.(weight|bias)$/.exec(storedName) ?? [];
  if (layer === undefined) {
    const outer = Object.hasOwn(outerParts, part) ? outerParts[part] : undefined;
    return outer ? `${outer}.${kind}` : storedName;
  }
  const parts = Object.hasOwn(layerParts, architecture) ? layerParts[architecture] : undefined;
  const inner = parts && Object.hasOwn(parts, part) ? parts[part] : undefined;
  return inner ? `model.layers.${layer}.${inner}.${kind}` : storedName;
}

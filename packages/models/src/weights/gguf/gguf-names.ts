import type { LayerPart, OuterPart } from '../../architectures/families/family.ts';
import { families } from '../../architectures/families/index.ts';

/** GGUF's names of the parts of a network, the same for all architectures. */
const outerParts: Readonly<Record<string, OuterPart>> = {
  token_embd: 'embedding',
  position_embd: 'positionEmbedding',
  output_norm: 'finalNorm',
  output: 'head',
};

const layerParts: Readonly<Record<string, LayerPart>> = {
  attn_norm: 'attentionNorm',
  attn_q: 'query',
  attn_k: 'key',
  attn_v: 'value',
  attn_qkv: 'qkv',
  attn_q_norm: 'queryNorm',
  attn_k_norm: 'keyNorm',
  attn_output: 'output',
  post_attention_norm: 'attentionPostNorm',
  ffn_norm: 'mlpNorm',
  ffn_gate: 'gate',
  ffn_up: 'up',
  ffn_down: 'down',
  post_ffw_norm: 'mlpPostNorm',
};

/**
 * Canonical name of a tensor in a GGUF file: `blk.3.attn_q.weight` is `model.layers.3.self_attn.q_proj.weight`.
 * Names that are not known stay as they are.
 */
export function canonicalName(architecture: string, storedName: string): string {
  const [, layer, part = '', kind = ''] = /^(?:blk\.(\d+)\.)?(\w+)\.(weight|bias)$/.exec(storedName) ?? [];
  const names = families.find(({ gguf }) => gguf?.architecture === architecture)?.names;
  if (!names) return storedName;
  if (layer === undefined) {
    const outer = Object.hasOwn(outerParts, part) && names.outer[outerParts[part] as OuterPart];
    return outer ? `${outer}.${kind}` : storedName;
  }
  const inner = Object.hasOwn(layerParts, part) && names.parts[layerParts[part] as LayerPart];
  return inner ? `${names.layers}.${layer}.${inner}.${kind}` : storedName;
}

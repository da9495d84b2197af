import type { ConfigValues } from './config-values.ts';
import type { TransformerConfig } from './model-config.ts';

type LayerKinds = TransformerConfig['layerKinds'];

const kinds: Readonly<Record<string, LayerKinds[number]>> = { full_attention: 'global', sliding_attention: 'window' };

/**
 * Which layers see a sliding window only: `layer_types`, or what older files imply.
 * @param implied Whether the layer of an index has a window where the file does not list them.
 * @throws ModelConfigError
 */
export function huggingFaceLayerKinds(
  values: ConfigValues,
  layers: number,
  implied: (index: number) => boolean,
): LayerKinds {
  const listed = values.texts('layer_types');
  if (!listed) return Array.from({ length: layers }, (_, index) => (implied(index) ? 'window' : 'global'));
  return listed.map((type) => {
    const kind = Object.hasOwn(kinds, type) ? kinds[type] : undefined;
    if (!kind) throw values.unsupported('layer_types', type, Object.keys(kinds).join(', '));
    return kind;
  });
}

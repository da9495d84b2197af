import { clipNormalisation, commonSettings } from '../../images/processor-config.ts';
import { ConfigValues } from '../../weights/config-values.ts';
import { huggingFaceActivation } from '../../weights/huggingface-activation.ts';
import type { TransformerConfig } from '../../weights/model-config.ts';
import type { VisionFamily } from '../vision-language-config.ts';

/** Qwen2-VL: a vision transformer with rotary positions, images near their own resolution, text positions along three axes. */
export const qwen2Vl: VisionFamily = {
  modelTypes: ['qwen2_vl'],
  read(values, processor, text) {
    // Published files have the language model's values beside the others, later ones in an object of their own.
    const textValues = values.object('text_config') ?? values;
    const vision = values.object('vision_config') ?? ConfigValues.of('config.json, vision_config', {});
    const tied = values.flag('tie_word_embeddings', false) || textValues.flag('tie_word_embeddings', false);
    const outer = ConfigValues.of('config.json', { tie_word_embeddings: tied });
    const rotary = textValues.object('rope_parameters') ?? textValues.object('rope_scaling');
    const language = text(outer.over(textValues), 'qwen2');
    const hiddenSize = vision.count('embed_dim', 1280);
    const [patchSize, group] = [vision.count('patch_size', 14), vision.count('spatial_merge_size', 2)];
    const size = processor.object('size');
    const pixels = (name: string, edge: string, fallback: number) =>
      processor.has(name) ? processor.count(name) : (size?.count(size.has(name) ? name : edge, fallback) ?? fallback);
    return {
      architecture: 'qwen2_vl',
      text: withSections(language, rotary?.integers('mrope_section'), values),
      vision: {
        names: 'blocks',
        hiddenSize,
        layers: vision.count('depth', 32),
        heads: vision.count('num_heads', 16),
        intermediateSize: hiddenSize * vision.count('mlp_ratio', 4),
        activation: huggingFaceActivation(vision, 'hidden_act', 'quick_gelu'),
        epsilon: 1e-6,
        patchSize,
        frames: vision.count('temporal_patch_size', 2),
        group,
        patchBias: false,
        classToken: 'none',
        preNorm: false,
        postNorm: false,
        positions: { kind: 'rotary', theta: 10_000 },
      },
      projector: { kind: 'merger' },
      processor: {
        ...commonSettings(processor, { ...clipNormalisation, filter: 'bicubic' }),
        kind: 'dynamic',
        minimumPixels: pixels('min_pixels', 'shortest_edge', 56 * 56),
        maximumPixels: pixels('max_pixels', 'longest_edge', 28 * 28 * 1280),
        multiple: patchSize * group,
      },
      imageId: values.natural('image_token_id', 151_655),
      markerIds: [values.natural('vision_start_token_id', 151_652), values.natural('vision_end_token_id', 151_653)],
      placeholder: (token, { rows, columns }) => token.repeat(rows * columns),
    };
  },
};

/** The language model with rotary sections for time, height and width. @throws ModelConfigError */
function withSections(
  text: TransformerConfig,
  sections: readonly number[] | undefined,
  values: ConfigValues,
): TransformerConfig {
  const { positions, headSize } = text;
  const own = sections ?? [headSize / 8, (3 * headSize) / 16, (3 * headSize) / 16];
  if (positions.kind !== 'rotary' || own.length !== 3 || own.reduce((sum, pairs) => sum + pairs, 0) !== headSize / 2) {
    throw values.invalid('mrope_section', own, `three numbers that sum to ${headSize / 2}`);
  }
  return { ...text, positions: { ...positions, sections: own } };
}

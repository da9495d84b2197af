import { commonSettings, plainNormalisation } from '../../images/processor-config.ts';
import { ConfigValues } from '../../weights/config-values.ts';
import { huggingFaceActivation } from '../../weights/huggingface-activation.ts';
import type { ImageTokens, VisionFamily } from '../vision-language-config.ts';

/** Idefics3 and SmolVLM: SigLIP, squares of patches joined (pixel shuffle), images split into tiles. */
export const idefics3: VisionFamily = {
  modelTypes: ['idefics3', 'smolvlm'],
  read(values, processor, text) {
    const architecture = values.text('model_type');
    const textValues = values.object('text_config') ?? ConfigValues.of('config.json, text_config', {});
    const vision = values.object('vision_config') ?? ConfigValues.of('config.json, vision_config', {});
    const modelType = textValues.text('model_type', 'llama');
    const imageSize = vision.count('image_size', 224);
    const patchSize = vision.count('patch_size', 32);
    const tied = values.flag('tie_word_embeddings', textValues.flag('tie_word_embeddings', false));
    const outer = ConfigValues.of('config.json, text_config', { tie_word_embeddings: tied });
    const edge = processor.object('size');
    const tile = processor.object('max_image_size')?.count('longest_edge', 364) ?? 364;
    const group = values.count('scale_factor', 2);
    if (tile % (patchSize * group) !== 0) {
      throw values.invalid(
        'scale_factor',
        group,
        `one whose squares of ${patchSize * group} pixels fill ${tile} pixels`,
      );
    }
    return {
      architecture,
      text: text(outer.over(textValues), modelType),
      vision: {
        names: 'encoder',
        hiddenSize: vision.count('hidden_size', 1152),
        layers: vision.count('num_hidden_layers', 12),
        heads: vision.count('num_attention_heads', 16),
        intermediateSize: vision.count('intermediate_size', 3072),
        activation: huggingFaceActivation(vision, 'hidden_act', 'gelu_pytorch_tanh'),
        epsilon: vision.positive('layer_norm_eps', 1e-6),
        patchSize,
        frames: 1,
        group,
        patchBias: true,
        classToken: 'none',
        preNorm: false,
        postNorm: true,
        positions: { kind: 'learned', side: Math.floor(imageSize / patchSize) },
      },
      projector: { kind: 'shuffle' },
      processor: {
        ...commonSettings(processor, { ...plainNormalisation, filter: 'lanczos' }),
        kind: 'tiles',
        longestEdge: processor.flag('do_resize', true) ? (edge?.count('longest_edge', 4 * 364) ?? 4 * 364) : undefined,
        tile,
        split: processor.flag('do_image_splitting', true),
      },
      imageId: values.natural('image_token_id', 128_257),
      markerIds: [],
      placeholder,
    };
  },
};

/** Each tile behind its place, a line per row of tiles, then the whole image. */
function placeholder(token: string, { rows, columns, tileRows, tileColumns }: ImageTokens): string {
  const around = '<fake_token_around_image>';
  const cells = token.repeat(rows * columns);
  let text = '';
  for (let row = 1; row <= tileRows; row++) {
    for (let column = 1; column <= tileColumns; column++) text += `${around}<row_${row}_col_${column}>${cells}`;
    text += '\n';
  }
  return `${text}${tileRows > 0 ? '\n' : ''}${around}<global-img>${cells}${around}`;
}

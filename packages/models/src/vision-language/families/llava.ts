import {
  clipNormalisation,
  commonSettings,
  type ImageProcessorConfig,
  type PixelSize,
  pixelSize,
  plainNormalisation,
} from '../../images/processor-config.ts';
import type { VisionTowerConfig } from '../../vision/vision-config.ts';
import { ConfigValues } from '../../weights/config-values.ts';
import { huggingFaceActivation } from '../../weights/huggingface-activation.ts';
import type { VisionFamily } from '../vision-language-config.ts';

/** What configurations of LLaVA-1.5 leave out: Llama 2's own values. */
const llamaDefaults = ConfigValues.of('config.json, text_config', {
  vocab_size: 32_000,
  hidden_size: 4096,
  intermediate_size: 11_008,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  max_position_embeddings: 2048,
});

/** LLaVA-1.5: CLIP's (or SigLIP's) features of a layer before the last, through two linear layers. */
export const llava: VisionFamily = {
  modelTypes: ['llava'],
  read(values, processor, text) {
    const textValues = values.object('text_config') ?? ConfigValues.of('config.json, text_config', {});
    const modelType = textValues.text('model_type', 'llama');
    const strategy = values.only('vision_feature_select_strategy', 'default', ['default', 'full']);
    const vision = readVision(values, strategy === 'full');
    return {
      architecture: 'llava',
      text: text(modelType === 'llama' ? textValues.over(llamaDefaults) : textValues, modelType),
      vision,
      projector: {
        kind: 'mlp',
        activation: huggingFaceActivation(values, 'projector_hidden_act', 'gelu'),
        bias: values.flag('multimodal_projector_bias', true),
      },
      processor: readProcessor(processor),
      imageId: values.natural(values.has('image_token_index') ? 'image_token_index' : 'image_token_id', 32_000),
      markerIds: [],
      placeholder: (token, { rows, columns, leading }) => token.repeat(rows * columns + leading),
    };
  },
};

function readVision(values: ConfigValues, full: boolean): VisionTowerConfig {
  const vision = values.object('vision_config') ?? ConfigValues.of('config.json, vision_config', {});
  const kind = vision.only('model_type', 'clip_vision_model', ['clip_vision_model', 'siglip_vision_model']);
  const clip = kind === 'clip_vision_model';
  const layers = vision.count('num_hidden_layers', clip ? 24 : 12);
  const wanted = values.integer('vision_feature_layer', -2);
  const last = wanted < 0 ? layers + 1 + wanted : wanted;
  if (last < 0 || last > layers) {
    throw values.invalid('vision_feature_layer', wanted, `a layer from ${-layers - 1} to ${layers}`);
  }
  // The class token stands first in CLIP alone; without it the first patch would be dropped.
  if (!clip && !full) throw values.unsupported('vision_feature_select_strategy', 'default', 'full, with SigLIP');
  const patchSize = vision.count('patch_size', clip ? 14 : 16);
  return {
    names: 'encoder',
    hiddenSize: vision.count('hidden_size', clip ? 1024 : 768),
    layers: last,
    heads: vision.count('num_attention_heads', clip ? 16 : 12),
    intermediateSize: vision.count('intermediate_size', clip ? 4096 : 3072),
    activation: huggingFaceActivation(vision, 'hidden_act', clip ? 'quick_gelu' : 'gelu_pytorch_tanh'),
    epsilon: vision.positive('layer_norm_eps', clip ? 1e-5 : 1e-6),
    patchSize,
    frames: 1,
    group: 1,
    patchBias: !clip,
    classToken: clip ? (full ? 'kept' : 'dropped') : 'none',
    preNorm: clip,
    postNorm: false,
    positions: { kind: 'learned', side: Math.floor(vision.count('image_size', clip ? 336 : 224) / patchSize) },
  };
}

/** CLIP's processor, or SigLIP's, which cuts nothing off. */
function readProcessor(values: ConfigValues): ImageProcessorConfig {
  const siglip = values.text('image_processor_type', '').startsWith('Siglip');
  const normalisation = siglip ? plainNormalisation : clipNormalisation;
  return {
    ...commonSettings(values, { ...normalisation, filter: 'bicubic' }),
    kind: 'crop',
    resize: values.flag('do_resize', true) ? resizedTo(values) : undefined,
    crop: values.flag('do_center_crop', !siglip) ? (pixelSize(values, 'crop_size') ?? square(224)) : undefined,
    padToSquare: values.flag('do_pad', false),
  };
}

/** A number is the shorter edge. */
function resizedTo(values: ConfigValues): PixelSize | { readonly shortestEdge: number } {
  const size = values.has('size') ? values.either('size') : 224;
  if (typeof size === 'number') return { shortestEdge: size };
  return size.has('shortest_edge')
    ? { shortestEdge: size.count('shortest_edge') }
    : (pixelSize(values, 'size') ?? square(224));
}

function square(edge: number): PixelSize {
  return { height: edge, width: edge };
}

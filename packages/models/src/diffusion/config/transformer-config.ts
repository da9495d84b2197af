import { ConfigValues } from '../../weights/config-values.ts';
import { ModelConfigError } from '../../weights/model-config.ts';

/** What the transformers of diffusion models have in common. */
export interface DiffusionTransformerConfig {
  readonly architecture: 'dit' | 'pixart' | 'cogvideox';
  readonly layers: number;
  readonly heads: number;
  readonly headSize: number;
  /** Channels of the sample that is denoised. */
  readonly inChannels: number;
  /** Twice as many where the network predicts a variance too. */
  readonly outChannels: number;
  /** Side of the square of sample elements that make a token. */
  readonly patchSize: number;
  /** Size that it was trained for, in elements of the sample. */
  readonly sampleHeight: number;
  readonly sampleWidth: number;
  /** Frames that it was trained for, after the autoencoder's compression; undefined for images. */
  readonly sampleFrames?: number | undefined;
  readonly attentionBias: boolean;
  readonly activation: 'gelu' | 'geluTanh';
  /** Added to the variance in the blocks' norms. */
  readonly normEpsilon: number;
}

/** DiT: class labels, adaLN-Zero with an embedding of timestep and label in each block (Peebles and Xie, 2023). */
export interface DitConfig extends DiffusionTransformerConfig {
  readonly architecture: 'dit';
  /** Classes; the label of this number stands for none. */
  readonly classes: number;
}

/** PixArt: caption embeddings by cross-attention, adaLN-single (Chen et al., 2023). */
export interface PixArtConfig extends DiffusionTransformerConfig {
  readonly architecture: 'pixart';
  /** Width of a caption token's embedding. */
  readonly captionChannels: number;
  /** Whether captions are projected to the hidden size first. */
  readonly captionProjection: boolean;
  readonly crossAttentionChannels: number;
  /** Whether the network is told size and aspect ratio of the image. */
  readonly sizeConditions: boolean;
  /** Divisor of the coordinates in the position embedding. */
  readonly interpolationScale: number;
}

/** CogVideoX: text and video tokens in one sequence (Yang et al., 2024). */
export interface CogVideoXConfig extends DiffusionTransformerConfig {
  readonly architecture: 'cogvideox';
  readonly sampleFrames: number;
  readonly captionChannels: number;
  /** Text tokens that it was trained with. */
  readonly textTokens: number;
  readonly timeChannels: number;
  /** Of the timestep's sinusoids. */
  readonly frequencyShift: number;
  readonly sinesFirst: boolean;
  /** Rotary position embedding instead of sinusoids. */
  readonly rotary: boolean;
  readonly spatialInterpolation: number;
  readonly temporalInterpolation: number;
}

export type AnyTransformerConfig = DitConfig | PixArtConfig | CogVideoXConfig;

/** Reads `config.json` of a diffusers transformer. @throws ModelConfigError */
export function transformerConfig(json: unknown): AnyTransformerConfig {
  const values = ConfigValues.of(where, json);
  const kind = values.text('_class_name');
  const read = Object.hasOwn(readers, kind) ? readers[kind] : undefined;
  if (!read) throw values.unsupported('_class_name', kind, Object.keys(readers).join(', '));
  const config = read(values);
  const { heads, headSize, patchSize, sampleHeight, sampleWidth } = config;
  const invalid = (reason: string) => new ModelConfigError('invalid', `${where}: ${reason}.`);
  const unit = config.architecture === 'cogvideox' && !config.rotary ? 16 : 4;
  if ((heads * headSize) % unit !== 0) {
    throw invalid(`${heads} heads of ${headSize} are no multiple of ${unit}, which the position embedding needs`);
  }
  if (config.architecture === 'pixart' && config.sizeConditions && (heads * headSize) % 6 !== 0) {
    throw invalid(`${heads} heads of ${headSize} are no multiple of 6, which the embedding of the image's size needs`);
  }
  if (config.architecture === 'cogvideox' && config.rotary && headSize % 16 !== 0) {
    throw invalid(`heads of ${headSize} are no multiple of 16, which the rotary embedding of three axes needs`);
  }
  if (sampleHeight % patchSize !== 0 || sampleWidth % patchSize !== 0) {
    throw invalid(`a sample of ${sampleHeight} x ${sampleWidth} does not divide into patches of ${patchSize}`);
  }
  return config;
}

const where = 'config.json of the transformer';

const readers: Readonly<Record<string, (values: ConfigValues) => AnyTransformerConfig>> = {
  DiTTransformer2DModel: ditConfig,
  PixArtTransformer2DModel: pixArtConfig,
  CogVideoXTransformer3DModel: cogVideoXConfig,
  // The name of DiT and of PixArt in older checkpoints.
  Transformer2DModel: (values) =>
    values.text('norm_type', 'ada_norm_zero') === 'ada_norm_single' ? pixArtConfig(values) : ditConfig(values),
};

function ditConfig(values: ConfigValues): DitConfig {
  values.only('norm_type', 'ada_norm_zero', ['ada_norm_zero']);
  const sampleSize = values.count('sample_size', 32);
  return {
    architecture: 'dit',
    ...commonConfig(values, { layers: 28, heads: 16, headSize: 72, inChannels: 4 }),
    outChannels: values.count('out_channels', values.count('in_channels', 4)),
    sampleHeight: sampleSize,
    sampleWidth: sampleSize,
    normEpsilon: plainNormEpsilon(values, 1e-5),
    classes: values.count('num_embeds_ada_norm', 1000),
  };
}

function pixArtConfig(values: ConfigValues): PixArtConfig {
  values.only('norm_type', 'ada_norm_single', ['ada_norm_single']);
  values.only('attention_type', 'default', ['default']);
  const sampleSize = values.count('sample_size', 128);
  const common = commonConfig(values, { layers: 28, heads: 16, headSize: 72, inChannels: 4 });
  const crossAttentionChannels = values.count('cross_attention_dim', 1152);
  const captionProjection = values.has('caption_channels');
  const hiddenSize = common.heads * common.headSize;
  if (captionProjection && crossAttentionChannels !== hiddenSize) {
    throw values.invalid(
      'cross_attention_dim',
      crossAttentionChannels,
      `${hiddenSize}, the width of projected captions`,
    );
  }
  return {
    architecture: 'pixart',
    ...common,
    outChannels: values.count('out_channels', 8),
    sampleHeight: sampleSize,
    sampleWidth: sampleSize,
    normEpsilon: plainNormEpsilon(values, 1e-6),
    captionChannels: captionProjection ? values.count('caption_channels') : crossAttentionChannels,
    captionProjection,
    crossAttentionChannels,
    sizeConditions: values.flag('use_additional_conditions', sampleSize === 128),
    interpolationScale: values.positive('interpolation_scale', Math.max(Math.floor(sampleSize / 64), 1)),
  };
}

function cogVideoXConfig(values: ConfigValues): CogVideoXConfig {
  for (const name of ['patch_size_t', 'ofs_embed_dim']) {
    if (values.has(name)) throw values.unsupported(name, values.count(name), 'none (CogVideoX 1.0)');
  }
  for (const name of ['use_learned_positional_embeddings', 'patch_bias', 'norm_elementwise_affine']) {
    const only = name !== 'use_learned_positional_embeddings';
    if (values.flag(name, only) !== only) throw values.unsupported(name, !only, String(only));
  }
  values.only('timestep_activation_fn', 'silu', ['silu']);
  const compression = values.count('temporal_compression_ratio', 4);
  return {
    architecture: 'cogvideox',
    ...commonConfig(values, { layers: 30, heads: 30, headSize: 64, inChannels: 16 }),
    outChannels: values.count('out_channels', 16),
    sampleHeight: values.count('sample_height', 60),
    sampleWidth: values.count('sample_width', 90),
    sampleFrames: Math.floor((values.count('sample_frames', 49) - 1) / compression) + 1,
    normEpsilon: values.positive('norm_eps', 1e-5),
    captionChannels: values.count('text_embed_dim', 4096),
    textTokens: values.count('max_text_seq_length', 226),
    timeChannels: values.count('time_embed_dim', 512),
    frequencyShift: values.natural('freq_shift', 0),
    sinesFirst: !values.flag('flip_sin_to_cos', true),
    rotary: values.flag('use_rotary_positional_embeddings', false),
    spatialInterpolation: values.positive('spatial_interpolation_scale', 1.875),
    temporalInterpolation: values.positive('temporal_interpolation_scale', 1),
  };
}

type CommonConfig = Pick<
  DiffusionTransformerConfig,
  'layers' | 'heads' | 'headSize' | 'inChannels' | 'patchSize' | 'attentionBias' | 'activation'
>;

function commonConfig(
  values: ConfigValues,
  fallback: Pick<DiffusionTransformerConfig, 'layers' | 'heads' | 'headSize' | 'inChannels'>,
): CommonConfig {
  const activation = values.only('activation_fn', 'gelu-approximate', ['gelu-approximate', 'gelu']);
  return {
    layers: values.count('num_layers', fallback.layers),
    heads: values.count('num_attention_heads', fallback.heads),
    headSize: values.count('attention_head_dim', fallback.headSize),
    inChannels: values.count('in_channels', fallback.inChannels),
    patchSize: values.count('patch_size', 2),
    attentionBias: values.flag('attention_bias', true),
    activation: activation === 'gelu' ? 'gelu' : 'geluTanh',
  };
}

/** Epsilon of norms without weights of their own. */
function plainNormEpsilon(values: ConfigValues, fallback: number): number {
  if (values.flag('norm_elementwise_affine', false)) throw values.unsupported('norm_elementwise_affine', true, 'false');
  return values.positive('norm_eps', fallback);
}

import { ConfigValues } from '../../weights/config-values.ts';
import { ModelConfigError } from '../../weights/model-config.ts';

/** The decoder of an autoencoder (Rombach et al., 2022) as diffusers' `AutoencoderKL` has it. */
export interface DecoderConfig {
  readonly latentChannels: number;
  readonly outChannels: number;
  /** Channels of the blocks, from the image inwards. */
  readonly blockChannels: readonly number[];
  readonly layersPerBlock: number;
  readonly normGroups: number;
  /** A clean sample is `scaling` times the latents minus `shift`. */
  readonly scaling: number;
  readonly shift: number;
  /** Whether a 1 x 1 convolution comes first. */
  readonly firstConvolution: boolean;
  readonly midAttention: boolean;
}

/** Reads `config.json` of an autoencoder. @throws ModelConfigError */
export function decoderConfig(json: unknown): DecoderConfig {
  const where = 'config.json of the autoencoder';
  const values = ConfigValues.of(where, json);
  values.only('_class_name', 'AutoencoderKL', ['AutoencoderKL']);
  values.only('act_fn', 'silu', ['silu']);
  const blocks = values.texts('up_block_types') ?? ['UpDecoderBlock2D'];
  const strange = blocks.find((kind) => kind !== 'UpDecoderBlock2D');
  if (strange !== undefined) throw values.unsupported('up_block_types', strange, 'UpDecoderBlock2D');
  for (const name of ['latents_mean', 'latents_std']) {
    if (values.has(name)) throw values.unsupported(name, '...', 'none');
  }
  const blockChannels = values.counts('block_out_channels', [64]);
  const normGroups = values.count('norm_num_groups', 32);
  if (blockChannels.some((channels) => channels % normGroups !== 0)) {
    throw new ModelConfigError(
      'invalid',
      `${where}: ${blockChannels} channels do not divide into ${normGroups} groups.`,
    );
  }
  if (blocks.length !== blockChannels.length) {
    throw new ModelConfigError(
      'invalid',
      `${where}: ${blocks.length} blocks have ${blockChannels.length} numbers of channels.`,
    );
  }
  return {
    latentChannels: values.count('latent_channels', 4),
    outChannels: values.count('out_channels', 3),
    blockChannels,
    layersPerBlock: values.count('layers_per_block', 1),
    normGroups,
    scaling: values.positive('scaling_factor', 0.18215),
    shift: values.number('shift_factor', 0),
    firstConvolution: values.flag('use_post_quant_conv', true),
    midAttention: values.flag('mid_block_add_attention', true),
  };
}

import type { Tensor } from '@saccade/core';
import type { NormWeights, ProjectionWeights } from '../../architectures/transformer/weights.ts';
import type { WeightLoader } from '../../architectures/weight-loader.ts';
import type { DecoderConfig } from './decoder-config.ts';

/** [O, C, side, side] and [O]. */
export interface ConvolutionWeights {
  readonly weight: Tensor;
  readonly bias: Tensor;
}

export interface Residual {
  readonly norm1: NormWeights;
  readonly conv1: ConvolutionWeights;
  readonly norm2: NormWeights;
  readonly conv2: ConvolutionWeights;
  /** Where the number of channels changes. */
  readonly shortcut: ConvolutionWeights | undefined;
}

export interface MidAttention {
  readonly norm: NormWeights;
  readonly query: ProjectionWeights;
  readonly key: ProjectionWeights;
  readonly value: ProjectionWeights;
  readonly output: ProjectionWeights;
}

export interface DecoderWeights {
  readonly first: ConvolutionWeights | undefined;
  readonly input: ConvolutionWeights;
  readonly mid: { readonly before: Residual; readonly attention: MidAttention | undefined; readonly after: Residual };
  /** From the latents outwards. */
  readonly blocks: readonly {
    readonly residuals: readonly Residual[];
    readonly upsampler: ConvolutionWeights | undefined;
  }[];
  readonly outputNorm: NormWeights;
  readonly output: ConvolutionWeights;
}

export async function loadDecoder(
  loader: WeightLoader,
  config: DecoderConfig,
  onProgress: (share: number) => void,
): Promise<DecoderWeights> {
  const { latentChannels, outChannels, blockChannels, layersPerBlock, firstConvolution, midAttention } = config;
  const outwards = [...blockChannels].reverse();
  const [innermost, outermost] = [outwards[0] as number, blockChannels[0] as number];
  const convolution = async (name: string, outputs: number, inputs: number, side: number) => ({
    weight: await loader.tensor(`${name}.weight`, [outputs, inputs, side, side]),
    bias: await loader.vector([`${name}.bias`], [outputs]),
  });
  const norm = async (name: string, channels: number) => ({
    weight: await loader.vector([`${name}.weight`], [channels]),
    bias: await loader.vector([`${name}.bias`], [channels]),
  });
  const residual = async (name: string, inputs: number, outputs: number): Promise<Residual> => ({
    norm1: await norm(`${name}.norm1`, inputs),
    conv1: await convolution(`${name}.conv1`, outputs, inputs, 3),
    norm2: await norm(`${name}.norm2`, outputs),
    conv2: await convolution(`${name}.conv2`, outputs, outputs, 3),
    shortcut: inputs === outputs ? undefined : await convolution(`${name}.conv_shortcut`, outputs, inputs, 1),
  });

  const first = firstConvolution ? await convolution('post_quant_conv', latentChannels, latentChannels, 1) : undefined;
  const input = await convolution('decoder.conv_in', innermost, latentChannels, 3);
  const mid = {
    before: await residual('decoder.mid_block.resnets.0', innermost, innermost),
    attention: midAttention ? await loadAttention(loader, innermost, norm) : undefined,
    after: await residual('decoder.mid_block.resnets.1', innermost, innermost),
  };
  const blocks: DecoderWeights['blocks'][number][] = [];
  for (const [index, channels] of outwards.entries()) {
    const name = `decoder.up_blocks.${index}`;
    const residuals: Residual[] = [];
    for (let layer = 0; layer <= layersPerBlock; layer++) {
      const inputs = layer === 0 ? (outwards[index - 1] ?? innermost) : channels;
      residuals.push(await residual(`${name}.resnets.${layer}`, inputs, channels));
    }
    const last = index === outwards.length - 1;
    const upsampler = last ? undefined : await convolution(`${name}.upsamplers.0.conv`, channels, channels, 3);
    blocks.push({ residuals, upsampler });
    onProgress((index + 1) / (outwards.length + 1));
  }
  const outputNorm = await norm('decoder.conv_norm_out', outermost);
  const output = await convolution('decoder.conv_out', outChannels, outermost, 3);
  onProgress(1);
  return { first, input, mid, blocks, outputNorm, output };
}

async function loadAttention(
  loader: WeightLoader,
  channels: number,
  norm: (name: string, channels: number) => Promise<NormWeights>,
): Promise<MidAttention> {
  const name = 'decoder.mid_block.attentions.0';
  // The names of older checkpoints.
  const old = loader.has(`${name}.query.weight`);
  const linear = async (part: string, formerly: string): Promise<ProjectionWeights> => {
    const full = `${name}.${old ? formerly : part}`;
    return {
      weight: await loader.matrix([`${full}.weight`], [channels], channels),
      bias: await loader.vector([`${full}.bias`], [channels]),
    };
  };
  return {
    norm: await norm(`${name}.group_norm`, channels),
    query: await linear('to_q', 'query'),
    key: await linear('to_k', 'key'),
    value: await linear('to_v', 'value'),
    output: await linear('to_out.0', 'proj_attn'),
  };
}

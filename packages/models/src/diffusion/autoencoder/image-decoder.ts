import {
  add,
  contiguous,
  conv2d,
  type Gpu,
  groupNorm,
  interpolate,
  matmul,
  scale,
  silu,
  softmax,
  type Tensor,
} from '@saccade/core';
import { project } from '../../architectures/transformer/project.ts';
import type { NormWeights, ProjectionWeights } from '../../architectures/transformer/weights.ts';
import { WeightLoader } from '../../architectures/weight-loader.ts';
import type { WeightFile } from '../../weights/types.ts';
import type { DecoderConfig } from './decoder-config.ts';
import {
  type ConvolutionWeights,
  type DecoderWeights,
  loadDecoder,
  type MidAttention,
  type Residual,
} from './load-decoder.ts';

/** Of all group norms. */
const epsilon = 1e-6;

/** Turns latents into images: the decoder half of an autoencoder. */
export class ImageDecoder {
  readonly gpu: Gpu;
  readonly config: DecoderConfig;
  readonly #weights: DecoderWeights;
  readonly #tensors: readonly Tensor[];

  private constructor(gpu: Gpu, config: DecoderConfig, weights: DecoderWeights, tensors: readonly Tensor[]) {
    this.gpu = gpu;
    this.config = config;
    this.#weights = weights;
    this.#tensors = tensors;
  }

  /** @throws WeightFileError where a tensor is missing or has another shape; OutOfMemoryError */
  static async load(
    gpu: Gpu,
    config: DecoderConfig,
    file: WeightFile,
    onProgress: (share: number) => void = () => undefined,
  ): Promise<ImageDecoder> {
    const loader = new WeightLoader(gpu, file);
    try {
      return new ImageDecoder(gpu, config, await loadDecoder(loader, config, onProgress), loader.tensors);
    } catch (error) {
      loader.dispose();
      throw error;
    }
  }

  /** Pixels per latent element, along each side. */
  get factor(): number {
    return 2 ** (this.config.blockChannels.length - 1);
  }

  /** Bytes of the weights in GPU memory. */
  get weightBytes(): number {
    return this.#tensors.reduce((sum, tensor) => sum + this.gpu.bytesOf(tensor), 0);
  }

  /**
   * Images of latents as a diffusion model makes them, scaled and shifted. Records only.
   * @param latents f32 [B, latentChannels, height, width]
   * @returns f32 [B, 3, factor height, factor width], about -1 to 1. The caller disposes it.
   * @throws LimitError for images whose inner activations pass a binding of the device
   */
  decode(latents: Tensor): Tensor {
    const { scaling, shift } = this.config;
    const { first, input, mid, blocks, outputNorm, output } = this.#weights;
    return this.gpu.tidy(() => {
      let x = scale(latents, 1 / scaling, shift);
      // Each step frees what it read: the last activations are the largest.
      const step = (next: (x: Tensor) => Tensor) => {
        const before = x;
        x = this.gpu.tidy(() => next(before).alias());
        before.dispose();
      };
      if (first) step((at) => conv(at, first, 0));
      step((at) => conv(at, input, 1));
      step((at) => this.#residual(at, mid.before));
      const { attention } = mid;
      if (attention) step((at) => this.#attention(at, attention));
      step((at) => this.#residual(at, mid.after));
      for (const { residuals, upsampler } of blocks) {
        for (const residual of residuals) step((at) => this.#residual(at, residual));
        if (!upsampler) continue;
        step((at) => interpolate(at, { size: doubled(at), mode: 'nearest' }));
        step((at) => conv(at, upsampler, 1));
      }
      step((at) => silu(this.#norm(at, outputNorm)));
      step((at) => conv(at, output, 1));
      return x;
    });
  }

  dispose(): void {
    for (const tensor of this.#tensors) tensor.dispose();
  }

  #norm(x: Tensor, { weight, bias }: NormWeights): Tensor {
    return groupNorm(x, this.config.normGroups, { weight, ...(bias ? { bias } : {}), epsilon });
  }

  #residual(x: Tensor, { norm1, conv1, norm2, conv2, shortcut }: Residual): Tensor {
    const inner = conv(silu(this.#norm(x, norm1)), conv1, 1);
    const branch = conv(silu(this.#norm(inner, norm2)), conv2, 1);
    return add(shortcut ? conv(x, shortcut, 0) : x, branch);
  }

  /** Attention of one head over all positions: x [B, C, height, width]. */
  #attention(x: Tensor, weights: MidAttention): Tensor {
    const [batch, channels, height, width] = x.shape as [number, number, number, number];
    const count = height * width;
    const rows = contiguous(this.#norm(x, weights.norm).reshape([batch, channels, count]).transpose(0, 2, 1));
    const heads = (projection: ProjectionWeights) =>
      project(rows.reshape([batch * count, channels]), projection).reshape([batch, count, channels]);
    // Its one head is wider than the attention engine's.
    const scores = matmul(heads(weights.query), heads(weights.key).transpose(0, 2, 1));
    const mixed = matmul(softmax(scale(scores, 1 / Math.sqrt(channels))), heads(weights.value));
    const output = project(mixed.reshape([batch * count, channels]), weights.output);
    return add(x, output.reshape([batch, count, channels]).transpose(0, 2, 1).reshape(x.shape));
  }
}

function conv(x: Tensor, { weight, bias }: ConvolutionWeights, padding: number): Tensor {
  return conv2d(x, weight, { bias, padding });
}

function doubled({ shape }: Tensor): [number, number] {
  return [2 * (shape[2] as number), 2 * (shape[3] as number)];
}

import {
  add,
  attention,
  concatenate,
  type Gpu,
  gelu,
  type MethodRun,
  silu,
  type Tensor,
  type TokenGrid,
} from '@saccade/core';
import { project } from '../../architectures/transformer/project.ts';
import type { ProjectionWeights } from '../../architectures/transformer/weights.ts';
import type { PixArtConfig } from '../config/transformer-config.ts';
import { attentionBranch, type BlockPlace, feedForwardBranch } from './block-parts.ts';
import { checkCaptions } from './check-condition.ts';
import type { Condition, Conditioning, DenoisingInput, SampleSize } from './denoising-network.ts';
import { embed } from './embedder.ts';
import { modulatedNorm, modulations } from './modulation.ts';
import { DiffusionTransformer, loadParts, type NetworkSource } from './network-base.ts';
import { patchGrid, patchify, unpatchify } from './patches.ts';
import { imageSinusoids, timestepFeatures, timestepSinusoids } from './sincos.ts';
import type { EmbedderWeights, FeedForwardWeights, PartLoader, SelfAttentionWeights } from './weights.ts';

/** Numbers that stand for a timestep or a size. */
const featureSize = 256;

/** Of the output's norm. */
const outputEpsilon = 1e-6;

/** Pixels per element of the sample in the autoencoder that PixArt was trained with. */
const pixelsPerElement = 8;

interface CrossAttentionWeights {
  readonly query: ProjectionWeights;
  /** Keys, then values: [2 E, C] */
  readonly keyValue: ProjectionWeights;
  readonly output: ProjectionWeights;
}

interface PixArtBlock {
  /** [1, 6 E]: added to the modulation that all blocks share. */
  readonly table: Tensor;
  readonly attention: SelfAttentionWeights;
  readonly crossAttention: CrossAttentionWeights;
  readonly feedForward: FeedForwardWeights;
}

interface PixArtWeights {
  readonly patches: ProjectionWeights;
  readonly timestep: EmbedderWeights;
  /** Embedders of image size and aspect ratio, where the network is told them. */
  readonly conditions: { readonly size: EmbedderWeights; readonly ratio: EmbedderWeights } | undefined;
  /** [6 E, E] */
  readonly modulation: ProjectionWeights;
  readonly captions: EmbedderWeights | undefined;
  readonly blocks: readonly PixArtBlock[];
  /** [1, 2 E] */
  readonly outputTable: Tensor;
  readonly output: ProjectionWeights;
}

/** What a pass is conditioned on, embedded. */
interface Embedded {
  /** [1, 6 E] */
  readonly modulation: Tensor;
  /** [B T, C] */
  readonly captions: Tensor;
  readonly captionTokens: number;
  readonly captionLengths: Tensor | undefined;
}

/**
 * PixArt-alpha and PixArt-sigma (Chen et al., 2023 and 2024) with the weights of diffusers' `PixArtTransformer2DModel`: cross-attention to
 * caption embeddings, and one modulation by the timestep for all blocks (adaLN-single). Methods act on its self-attention.
 */
export class PixArt extends DiffusionTransformer<PixArtConfig> {
  readonly #weights: PixArtWeights;

  private constructor(
    gpu: Gpu,
    name: string,
    config: PixArtConfig,
    weights: PixArtWeights,
    tensors: readonly Tensor[],
  ) {
    super(gpu, name, config, tensors);
    this.#weights = weights;
  }

  /** @throws WeightFileError where a tensor is missing or has another shape; OutOfMemoryError */
  static load(gpu: Gpu, source: NetworkSource<PixArtConfig>): Promise<PixArt> {
    const { name, config, onProgress } = source;
    return loadParts(
      gpu,
      source,
      (parts) => loadPixArt(parts, config, onProgress),
      (weights, tensors) => new PixArt(gpu, name, config, weights, tensors),
    );
  }

  get conditioning(): Conditioning {
    return { kind: 'captions', channels: this.config.captionChannels, ragged: true };
  }

  grid(size: SampleSize): TokenGrid {
    return { ...patchGrid(size, this.config.patchSize), textTokens: 0, textFirst: false };
  }

  checkCondition(condition: Condition, batch: number): void {
    checkCaptions(condition, batch, this.config.captionChannels);
  }

  forward({ sample, timestep, condition }: DenoisingInput, run: MethodRun): Tensor {
    const { gpu, config } = this;
    const { patches, modulation, blocks, outputTable, output } = this.#weights;
    const [, , height, width] = sample.shape as [number, number, number, number];
    const grid = this.grid({ height, width });
    const tokens = grid.height * grid.width;
    const time = this.#time(
      timestep,
      condition.imageSize ?? {
        height: height * pixelsPerElement,
        width: width * pixelsPerElement,
      },
    );
    const embedded = { modulation: project(silu(time), modulation), ...this.#captions(condition) };
    const entering = run.activation(
      -1,
      'embedding',
      this.addPositions(project(patchify(sample, config.patchSize), patches), grid, (asked) =>
        imageSinusoids(config, asked, config.interpolationScale, this.hiddenSize),
      ),
    );
    const x = run.layers(config.layers, gpu.keep(entering.alias()), (index, input) =>
      this.#block({ config, run, index, rowGroups: undefined }, blocks[index] as PixArtBlock, embedded, input, tokens),
    );
    const [shift, scale] = modulations(add(outputTable, concatenate([time, time], 1)), 2);
    const normed = modulatedNorm(x, undefined, outputEpsilon, { shift, scale }, undefined);
    x.dispose();
    return unpatchify(project(run.activation(-1, 'finalNorm', normed), output), grid, config.patchSize);
  }

  /** Embedding of timestep and, where the network is told it, of the image's size: [1, E]. */
  #time(timestep: number, { height, width }: { readonly height: number; readonly width: number }): Tensor {
    const { gpu, hiddenSize } = this;
    const { timestep: embedder, conditions } = this.#weights;
    const time = embed(timestepSinusoids(gpu, timestep, featureSize, 0), embedder);
    if (!conditions) return time;
    const features = [height, width].flatMap((value) => [...timestepFeatures(value, featureSize, 0)]);
    const size = embed(gpu.tensor(features, [2, featureSize]), conditions.size).reshape([1, (2 * hiddenSize) / 3]);
    const ratio = embed(timestepSinusoids(gpu, height / width, featureSize, 0), conditions.ratio);
    return add(time, concatenate([size, ratio], 1));
  }

  #captions({ captions: given, captionLengths }: Condition): Omit<Embedded, 'modulation'> {
    const [batch, captionTokens, channels] = (given as Tensor).shape as [number, number, number];
    const rows = (given as Tensor).reshape([batch * captionTokens, channels]);
    const { captions: embedder } = this.#weights;
    const captions = embedder ? embed(rows, embedder, (x) => gelu(x, { approximate: 'tanh' })) : rows;
    return { captions, captionTokens, captionLengths };
  }

  #block(place: BlockPlace, weights: PixArtBlock, embedded: Embedded, x: Tensor, tokens: number): Tensor {
    const { normEpsilon } = this.config;
    const [shift1, scale1, gate1, shift2, scale2, gate2] = modulations(add(weights.table, embedded.modulation), 6);
    const first = modulatedNorm(x, undefined, normEpsilon, { shift: shift1, scale: scale1 }, undefined);
    const attended = attentionBranch(place, x, first, weights.attention, gate1);
    const crossed = this.#crossAttention(attended, embedded, weights.crossAttention, tokens);
    const second = modulatedNorm(crossed, undefined, normEpsilon, { shift: shift2, scale: scale2 }, undefined);
    return feedForwardBranch(place, crossed, second, weights.feedForward, gate2);
  }

  /** x [B N, E] plus its attention to the captions. */
  #crossAttention(x: Tensor, embedded: Embedded, weights: CrossAttentionWeights, tokens: number): Tensor {
    const { heads, headSize } = this.config;
    const { captions, captionTokens, captionLengths } = embedded;
    const size = heads * headSize;
    const batch = (x.shape[0] as number) / tokens;
    const headsFirst = (rows: Tensor, count: number) =>
      rows.reshape([batch, count, heads, headSize]).transpose(0, 2, 1, 3);
    const keyValue = project(captions, weights.keyValue);
    const { output } = attention(
      headsFirst(project(x, weights.query), tokens),
      headsFirst(keyValue.slice(1, 0, size), captionTokens),
      headsFirst(keyValue.slice(1, size, 2 * size), captionTokens),
      captionLengths ? { keyLength: captionLengths } : {},
    );
    return project(output.transpose(0, 2, 1, 3).reshape([batch * tokens, size]), weights.output, x);
  }
}

async function loadPixArt(
  parts: PartLoader,
  config: PixArtConfig,
  onProgress: (share: number) => void = () => undefined,
): Promise<PixArtWeights> {
  const { layers, heads, headSize, inChannels, outChannels, patchSize, attentionBias } = config;
  const size = heads * headSize;
  const patches = await parts.patchProjection('pos_embed.proj', inChannels, patchSize);
  const embedder = 'adaln_single.emb';
  const timestep = await parts.embedder(`${embedder}.timestep_embedder`, featureSize);
  const conditions = config.sizeConditions
    ? {
        size: await parts.embedder(`${embedder}.resolution_embedder`, featureSize, size / 3),
        ratio: await parts.embedder(`${embedder}.aspect_ratio_embedder`, featureSize, size / 3),
      }
    : undefined;
  const modulation = await parts.linear('adaln_single.linear', 6 * size, size);
  const captions = config.captionProjection
    ? await parts.embedder('caption_projection', config.captionChannels)
    : undefined;
  const blocks: PixArtBlock[] = [];
  for (let index = 0; index < layers; index++) {
    const name = `transformer_blocks.${index}`;
    blocks.push({
      table: await parts.row(`${name}.scale_shift_table`, [6, size]),
      attention: await parts.selfAttention(`${name}.attn1`, attentionBias),
      crossAttention: {
        query: await parts.linear(`${name}.attn2.to_q`, size, size, attentionBias),
        keyValue: await parts.linears(
          [`${name}.attn2.to_k`, `${name}.attn2.to_v`],
          size,
          config.crossAttentionChannels,
          attentionBias,
        ),
        output: await parts.linear(`${name}.attn2.to_out.0`, size, size),
      },
      feedForward: await parts.feedForward(`${name}.ff`),
    });
    onProgress((index + 1) / (layers + 1));
  }
  const outputTable = await parts.row('scale_shift_table', [2, size]);
  const output = await parts.linear('proj_out', patchSize ** 2 * outChannels, size);
  onProgress(1);
  return { patches, timestep, conditions, modulation, captions, blocks, outputTable, output };
}

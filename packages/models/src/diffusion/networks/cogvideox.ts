import {
  concatenate,
  contiguous,
  type Gpu,
  gridTokens,
  type MethodRun,
  type RopeTable,
  rope,
  silu,
  type Tensor,
  type TokenGrid,
} from '@saccade/core';
import { norm } from '../../architectures/transformer/norm.ts';
import { project } from '../../architectures/transformer/project.ts';
import type { NormWeights, ProjectionWeights } from '../../architectures/transformer/weights.ts';
import type { CogVideoXConfig } from '../config/transformer-config.ts';
import { attentionBranch, type BlockPlace, feedForwardBranch } from './block-parts.ts';
import { checkCaptions } from './check-condition.ts';
import type { Condition, Conditioning, DenoisingInput, SampleSize } from './denoising-network.ts';
import { embed } from './embedder.ts';
import { GridTable } from './grid-tables.ts';
import { modulatedNorm, modulations } from './modulation.ts';
import { DiffusionTransformer, gridSize, loadParts, type NetworkSource } from './network-base.ts';
import { patchGrid, patchify, unpatchify } from './patches.ts';
import { timestepSinusoids } from './sincos.ts';
import { videoRotary, videoSinusoids } from './video-positions.ts';
import type { EmbedderWeights, FeedForwardWeights, PartLoader, SelfAttentionWeights } from './weights.ts';

interface CogVideoXBlock {
  readonly firstNorm: NormWeights;
  /** [6 E, time channels] */
  readonly firstModulation: ProjectionWeights;
  readonly attention: SelfAttentionWeights;
  readonly secondNorm: NormWeights;
  readonly secondModulation: ProjectionWeights;
  readonly feedForward: FeedForwardWeights;
}

interface CogVideoXWeights {
  readonly patches: ProjectionWeights;
  readonly text: ProjectionWeights;
  readonly timestep: EmbedderWeights;
  readonly blocks: readonly CogVideoXBlock[];
  readonly finalNorm: NormWeights;
  readonly outputNorm: NormWeights;
  /** [2 E, time channels] */
  readonly outputModulation: ProjectionWeights;
  readonly output: ProjectionWeights;
}

/** Embeds positions in queries or keys [B N, H, D]. */
type Rotate = (heads: Tensor) => Tensor;

/** Video and text tokens of each sample have modulations of their own: in this order in the weights, text first in the sequence. */
const stretches = 2;

/**
 * CogVideoX (Yang et al., 2024) with the weights of diffusers' `CogVideoXTransformer3DModel`: text and video tokens attend to each
 * other in one sequence, text first, with norms and gates of their own.
 */
export class CogVideoX extends DiffusionTransformer<CogVideoXConfig> {
  readonly #weights: CogVideoXWeights;
  readonly #rotary: GridTable<RopeTable> | undefined;

  private constructor(
    gpu: Gpu,
    name: string,
    config: CogVideoXConfig,
    weights: CogVideoXWeights,
    tensors: readonly Tensor[],
  ) {
    super(gpu, name, config, tensors);
    this.#weights = weights;
    this.#rotary = config.rotary ? new GridTable((grid) => videoRotary(gpu, config, grid)) : undefined;
  }

  /** @throws WeightFileError where a tensor is missing or has another shape; OutOfMemoryError */
  static load(gpu: Gpu, source: NetworkSource<CogVideoXConfig>): Promise<CogVideoX> {
    const { name, config, onProgress } = source;
    return loadParts(
      gpu,
      source,
      (parts) => loadCogVideoX(parts, config, onProgress),
      (weights, tensors) => new CogVideoX(gpu, name, config, weights, tensors),
    );
  }

  get conditioning(): Conditioning {
    return { kind: 'captions', channels: this.config.captionChannels, ragged: false };
  }

  grid(size: SampleSize, textTokens = this.config.textTokens): TokenGrid {
    const { frames = 1 } = size;
    return { frames, ...patchGrid(size, this.config.patchSize), textTokens, textFirst: true };
  }

  checkCondition(condition: Condition, batch: number): void {
    checkCaptions(condition, batch, this.config.captionChannels);
  }

  forward({ sample, timestep, condition }: DenoisingInput, run: MethodRun): Tensor {
    const { gpu, config, hiddenSize } = this;
    const {
      patches,
      text,
      timestep: embedder,
      blocks,
      finalNorm,
      outputNorm,
      outputModulation,
      output,
    } = this.#weights;
    const [batch, frames, channels, height, width] = sample.shape as [number, number, number, number, number];
    const captions = condition.captions as Tensor;
    const textTokens = captions.shape[1] as number;
    const grid = this.grid({ frames, height, width }, textTokens);
    const video = gridSize(grid);
    const time = silu(
      embed(timestepSinusoids(gpu, timestep, hiddenSize, config.frequencyShift, config.sinesFirst), embedder),
    );

    const pixels = patchify(sample.reshape([batch * frames, channels, height, width]), config.patchSize);
    const tokens = project(pixels, patches);
    const placed = config.rotary
      ? tokens
      : this.addPositions(tokens, grid, (asked) => videoSinusoids(config, asked, hiddenSize));
    const textRows = project(captions.reshape([batch * textTokens, config.captionChannels]), text);
    const entering = concatenate(
      [textRows.reshape([batch, textTokens, hiddenSize]), placed.reshape([batch, video, hiddenSize])],
      1,
    ).reshape([-1, hiddenSize]);
    const rotate = this.#rotation(grid);
    const rowGroups = this.#rowGroups(batch, grid);
    const x = run.layers(config.layers, gpu.keep(run.activation(-1, 'embedding', entering).alias()), (index, input) =>
      this.#block({ config, run, index, rowGroups }, blocks[index] as CogVideoXBlock, time, input, rotate),
    );
    const normKind = { kind: 'layer', epsilon: config.normEpsilon, placement: 'before' } as const;
    const ended = run.activation(-1, 'finalNorm', norm(x, finalNorm, normKind));
    x.dispose();
    const own = ended.reshape([batch, textTokens + video, hiddenSize]).slice(1, textTokens, textTokens + video);
    const rows = contiguous(own).reshape([batch * video, hiddenSize]);
    const [shift, scale] = modulations(project(time, outputModulation), 2);
    const normed = modulatedNorm(rows, outputNorm, config.normEpsilon, { shift, scale }, undefined);
    const images = unpatchify(project(normed, output), grid, config.patchSize, true);
    return images.reshape([batch, frames, config.outChannels, height, width]);
  }

  override dispose(): void {
    super.dispose();
    this.#rotary?.dispose();
  }

  /** Rotates the video tokens of [B N, H, D]; text tokens stay as they are. */
  #rotation(grid: TokenGrid): Rotate {
    if (!this.#rotary) return (heads) => heads;
    const table = this.#rotary.of(grid);
    const total = gridTokens(grid);
    const rows = Uint32Array.from({ length: total }, (_, token) => Math.max(token - grid.textTokens + 1, 0));
    const positions = this.gpu.tensor(rows, [total], 'u32');
    return (heads) => {
      const samples = heads.reshape([-1, total, ...heads.shape.slice(1)]);
      return rope(samples, table, { layout: 'interleaved', positions }).reshape(heads.shape);
    };
  }

  /** All samples have one timestep: group 0 is video, group 1 text. */
  #rowGroups(batch: number, grid: TokenGrid): Tensor {
    const total = gridTokens(grid);
    const groups = Uint32Array.from({ length: batch * total }, (_, row) => (row % total < grid.textTokens ? 1 : 0));
    return this.gpu.tensor(groups, [batch * total], 'u32');
  }

  #block(place: BlockPlace, weights: CogVideoXBlock, time: Tensor, x: Tensor, rotate: Rotate): Tensor {
    const { normEpsilon } = this.config;
    const { rowGroups } = place;
    const [shift1, scale1, gate1] = modulations(project(time, weights.firstModulation), 3, stretches);
    const first = modulatedNorm(x, weights.firstNorm, normEpsilon, { shift: shift1, scale: scale1 }, rowGroups);
    const mid = attentionBranch(place, x, first, weights.attention, gate1, rotate);
    const [shift2, scale2, gate2] = modulations(project(time, weights.secondModulation), 3, stretches);
    const second = modulatedNorm(mid, weights.secondNorm, normEpsilon, { shift: shift2, scale: scale2 }, rowGroups);
    return feedForwardBranch(place, mid, second, weights.feedForward, gate2);
  }
}

async function loadCogVideoX(
  parts: PartLoader,
  config: CogVideoXConfig,
  onProgress: (share: number) => void = () => undefined,
): Promise<CogVideoXWeights> {
  const { layers, heads, headSize, inChannels, outChannels, patchSize, captionChannels, timeChannels } = config;
  const size = heads * headSize;
  const patches = await parts.patchProjection('patch_embed.proj', inChannels, patchSize);
  const text = await parts.linear('patch_embed.text_proj', size, captionChannels);
  const timestep = await parts.embedder('time_embedding', size, timeChannels);
  const blocks: CogVideoXBlock[] = [];
  for (let index = 0; index < layers; index++) {
    const name = `transformer_blocks.${index}`;
    blocks.push({
      firstNorm: await parts.norm(`${name}.norm1.norm`, size),
      firstModulation: await parts.linear(`${name}.norm1.linear`, 6 * size, timeChannels),
      attention: {
        ...(await parts.selfAttention(`${name}.attn1`, config.attentionBias)),
        queryNorm: await parts.norm(`${name}.attn1.norm_q`, headSize),
        keyNorm: await parts.norm(`${name}.attn1.norm_k`, headSize),
      },
      secondNorm: await parts.norm(`${name}.norm2.norm`, size),
      secondModulation: await parts.linear(`${name}.norm2.linear`, 6 * size, timeChannels),
      feedForward: await parts.feedForward(`${name}.ff`),
    });
    onProgress((index + 1) / (layers + 1));
  }
  const finalNorm = await parts.norm('norm_final', size);
  const outputNorm = await parts.norm('norm_out.norm', size);
  const outputModulation = await parts.linear('norm_out.linear', 2 * size, timeChannels);
  const output = await parts.linear('proj_out', patchSize ** 2 * outChannels, size);
  onProgress(1);
  return { patches, text, timestep, blocks, finalNorm, outputNorm, outputModulation, output };
}

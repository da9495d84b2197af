import { add, embedding, type Gpu, type MethodRun, silu, type Tensor, type TokenGrid } from '@saccade/core';
import { project } from '../../architectures/transformer/project.ts';
import type { ProjectionWeights } from '../../architectures/transformer/weights.ts';
import type { DitConfig } from '../config/transformer-config.ts';
import { attentionBranch, type BlockPlace, feedForwardBranch } from './block-parts.ts';
import { checkLabels } from './check-condition.ts';
import type { Condition, Conditioning, DenoisingInput, SampleSize } from './denoising-network.ts';
import { embed } from './embedder.ts';
import { modulatedNorm, modulations, sampleGroups } from './modulation.ts';
import { DiffusionTransformer, gridSize, loadParts, type NetworkSource } from './network-base.ts';
import { patchGrid, patchify, unpatchify } from './patches.ts';
import { imageSinusoids, timestepSinusoids } from './sincos.ts';
import type { EmbedderWeights, FeedForwardWeights, PartLoader, SelfAttentionWeights } from './weights.ts';

/** Numbers that stand for a timestep. */
const timestepSize = 256;

/** Of adaLN-Zero's own norms. */
const adaptiveEpsilon = 1e-6;

interface DitBlock {
  readonly timestep: EmbedderWeights;
  /** [classes + 1, E] */
  readonly labels: Tensor;
  /** [6 E, E] */
  readonly modulation: ProjectionWeights;
  readonly attention: SelfAttentionWeights;
  readonly feedForward: FeedForwardWeights;
}

interface DitWeights {
  readonly patches: ProjectionWeights;
  readonly blocks: readonly DitBlock[];
  /** [2 E, E] */
  readonly outputModulation: ProjectionWeights;
  readonly output: ProjectionWeights;
}

/** The condition of a pass, as every block embeds it for itself. */
interface Embedded {
  /** f32 [1, 256] */
  readonly timestep: Tensor;
  /** u32 [B] */
  readonly labels: Tensor;
}

/** Class-conditional diffusion transformer (Peebles and Xie, 2023) with the weights of diffusers' `DiTTransformer2DModel`. */
export class Dit extends DiffusionTransformer<DitConfig> {
  readonly #weights: DitWeights;

  private constructor(gpu: Gpu, name: string, config: DitConfig, weights: DitWeights, tensors: readonly Tensor[]) {
    super(gpu, name, config, tensors);
    this.#weights = weights;
  }

  /** @throws WeightFileError where a tensor is missing or has another shape; OutOfMemoryError */
  static load(gpu: Gpu, source: NetworkSource<DitConfig>): Promise<Dit> {
    const { name, config, onProgress } = source;
    return loadParts(
      gpu,
      source,
      (parts) => loadDit(parts, config, onProgress),
      (weights, tensors) => new Dit(gpu, name, config, weights, tensors),
    );
  }

  get conditioning(): Conditioning {
    return { kind: 'classes', classes: this.config.classes };
  }

  grid(size: SampleSize): TokenGrid {
    return { ...patchGrid(size, this.config.patchSize), textTokens: 0, textFirst: false };
  }

  checkCondition(condition: Condition, batch: number): void {
    checkLabels(condition, batch);
  }

  forward({ sample, timestep, condition }: DenoisingInput, run: MethodRun): Tensor {
    const { gpu, config } = this;
    const { patches, blocks, outputModulation, output } = this.#weights;
    const [, , height, width] = sample.shape as [number, number, number, number];
    const grid = this.grid({ height, width });
    const batch = sample.shape[0] as number;
    const rowGroups = sampleGroups(gpu, batch, gridSize(grid));
    const embedded = {
      timestep: timestepSinusoids(gpu, timestep, timestepSize, 1),
      labels: condition.labels as Tensor,
    };
    const entering = run.activation(
      -1,
      'embedding',
      this.addPositions(project(patchify(sample, config.patchSize), patches), grid, (asked) =>
        imageSinusoids(config, asked, 1, this.hiddenSize),
      ),
    );
    const x = run.layers(config.layers, gpu.keep(entering.alias()), (index, input) =>
      this.#block({ config, run, index, rowGroups }, blocks[index] as DitBlock, embedded, input),
    );
    const last = project(silu(conditionOf(blocks[0] as DitBlock, embedded)), outputModulation);
    const [shift, scale] = modulations(last, 2);
    const normed = modulatedNorm(x, undefined, adaptiveEpsilon, { shift, scale }, rowGroups);
    x.dispose();
    return unpatchify(project(run.activation(-1, 'finalNorm', normed), output), grid, config.patchSize);
  }

  #block(place: BlockPlace, weights: DitBlock, embedded: Embedded, x: Tensor): Tensor {
    const { rowGroups } = place;
    const modulation = project(silu(conditionOf(weights, embedded)), weights.modulation);
    const [shift1, scale1, gate1, shift2, scale2, gate2] = modulations(modulation, 6);
    const first = modulatedNorm(x, undefined, adaptiveEpsilon, { shift: shift1, scale: scale1 }, rowGroups);
    const mid = attentionBranch(place, x, first, weights.attention, gate1);
    const { normEpsilon } = this.config;
    const second = modulatedNorm(mid, undefined, normEpsilon, { shift: shift2, scale: scale2 }, rowGroups);
    return feedForwardBranch(place, mid, second, weights.feedForward, gate2);
  }
}

/** A block's embedding of timestep and label: [B, E]. */
function conditionOf({ timestep, labels }: DitBlock, embedded: Embedded): Tensor {
  return add(embedding(labels, embedded.labels), embed(embedded.timestep, timestep));
}

async function loadDit(
  parts: PartLoader,
  config: DitConfig,
  onProgress: (share: number) => void = () => undefined,
): Promise<DitWeights> {
  const { layers, heads, headSize, inChannels, outChannels, patchSize, attentionBias, classes } = config;
  const size = heads * headSize;
  const patches = await parts.patchProjection('pos_embed.proj', inChannels, patchSize);
  const blocks: DitBlock[] = [];
  for (let index = 0; index < layers; index++) {
    const name = `transformer_blocks.${index}`;
    blocks.push({
      timestep: await parts.embedder(`${name}.norm1.emb.timestep_embedder`, timestepSize),
      labels: await parts.table(`${name}.norm1.emb.class_embedder.embedding_table.weight`, classes + 1),
      modulation: await parts.linear(`${name}.norm1.linear`, 6 * size, size),
      attention: await parts.selfAttention(`${name}.attn1`, attentionBias),
      feedForward: await parts.feedForward(`${name}.ff`),
    });
    onProgress((index + 1) / (layers + 1));
  }
  const outputModulation = await parts.linear('proj_out_1', 2 * size, size);
  const output = await parts.linear('proj_out_2', patchSize ** 2 * outChannels, size);
  onProgress(1);
  return { patches, blocks, outputModulation, output };
}

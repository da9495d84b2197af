import { add, type Gpu, type MethodRun, type ModelFacts, type Tensor, type TokenGrid } from '@saccade/core';
import { WeightLoader } from '../../architectures/weight-loader.ts';
import type { WeightFile } from '../../weights/types.ts';
import type { DiffusionTransformerConfig } from '../config/transformer-config.ts';
import type { Condition, Conditioning, DenoisingInput, DenoisingNetwork, SampleSize } from './denoising-network.ts';
import { transformerFacts } from './facts.ts';
import { GridTable } from './grid-tables.ts';
import { PartLoader } from './weights.ts';

/** Where a network's weights come from. */
export interface NetworkSource<Config extends DiffusionTransformerConfig> {
  /** Name that the user knows the model by. */
  readonly name: string;
  readonly config: Config;
  readonly file: WeightFile;
  readonly onProgress?: ((share: number) => void) | undefined;
}

/** What all diffusion transformers share. */
export abstract class DiffusionTransformer<Config extends DiffusionTransformerConfig> implements DenoisingNetwork {
  readonly gpu: Gpu;
  readonly config: Config;
  readonly facts: ModelFacts;
  readonly weightBytes: number;
  readonly #tensors: readonly Tensor[];
  #positions: GridTable<Tensor> | undefined;

  constructor(gpu: Gpu, name: string, config: Config, tensors: readonly Tensor[]) {
    this.gpu = gpu;
    this.config = config;
    this.#tensors = tensors;
    this.weightBytes = tensors.reduce((sum, tensor) => sum + gpu.bytesOf(tensor), 0);
    this.facts = transformerFacts(name, config, this.grid(this.sampleSize));
  }

  get inChannels(): number {
    return this.config.inChannels;
  }

  get outChannels(): number {
    return this.config.outChannels;
  }

  get sampleSize(): SampleSize {
    const { sampleHeight, sampleWidth, sampleFrames } = this.config;
    return {
      ...(sampleFrames === undefined ? {} : { frames: sampleFrames }),
      height: sampleHeight,
      width: sampleWidth,
    };
  }

  abstract readonly conditioning: Conditioning;

  abstract grid(size: SampleSize, textTokens?: number): TokenGrid;

  abstract checkCondition(condition: Condition, batch: number): void;

  abstract forward(input: DenoisingInput, run: MethodRun): Tensor;

  dispose(): void {
    for (const tensor of this.#tensors) tensor.dispose();
    this.#positions?.dispose();
  }

  /** Tokens [B N, E] plus their position embedding, f32 [N, E] as `make` gives it for the grid. */
  protected addPositions(tokens: Tensor, grid: TokenGrid, make: (grid: TokenGrid) => Float32Array): Tensor {
    const { gpu, hiddenSize } = this;
    this.#positions ??= new GridTable((asked) => gpu.keep(gpu.tensor(make(asked), [1, gridSize(asked), hiddenSize])));
    const samples = tokens.reshape([-1, gridSize(grid), hiddenSize]);
    return add(samples, this.#positions.of(grid)).reshape(tokens.shape);
  }

  protected get hiddenSize(): number {
    return this.config.heads * this.config.headSize;
  }
}

/** Tokens of the grid, without those of text. */
export function gridSize({ frames = 1, height, width }: TokenGrid): number {
  return frames * height * width;
}

/** Loads weights part by part and makes a network of them; on failure none stays on the GPU. */
export async function loadParts<Weights, Network>(
  gpu: Gpu,
  { config, file }: NetworkSource<DiffusionTransformerConfig>,
  load: (parts: PartLoader) => Promise<Weights>,
  make: (weights: Weights, tensors: readonly Tensor[]) => Network,
): Promise<Network> {
  const loader = new WeightLoader(gpu, file);
  try {
    return make(await load(new PartLoader(loader, config)), loader.tensors);
  } catch (error) {
    loader.dispose();
    throw error;
  }
}

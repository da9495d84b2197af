import {
  embedding,
  type Gpu,
  KvCache,
  layerActivations,
  type MethodRun,
  type ModelFacts,
  RefusedError,
  scale,
  scatterRows,
  type Tensor,
} from '@saccade/core';
import { type LoadDtype, loadableWeights } from '../../weights/loadable-weights.ts';
import type { TransformerConfig } from '../../weights/model-config.ts';
import type { WeightFile } from '../../weights/types.ts';
import type { Architecture, NetworkInput } from '../architecture.ts';
import { familyOf } from '../families/index.ts';
import { pooledBytes } from '../pooled-bytes.ts';
import { WeightLoader } from '../weight-loader.ts';
import { loadTransformerWeights } from './load-weights.ts';
import { norm } from './norm.ts';
import { outputHead } from './output-head.ts';
import { addLearnedPositions, addTokenTypes, RotaryPositions } from './positions.ts';
import { transformerLayer } from './transformer-layer.ts';
import type { LayerWeights, TransformerWeights } from './weights.ts';

export interface TransformerLoadOptions {
  /** Element types in GPU memory; default `auto`. */
  readonly dtype?: LoadDtype | undefined;
  /** Called with a line for people where quantized weights are expanded. */
  readonly onNotice?: ((line: string) => void) | undefined;
  /** Called with the share of the weights that is loaded, in [0, 1]. */
  readonly onProgress?: ((share: number) => void) | undefined;
}

/** A transformer as its configuration describes it: every supported architecture is one. */
export class Transformer implements Architecture {
  readonly gpu: Gpu;
  readonly facts: ModelFacts;
  readonly weightBytes: number;
  readonly #config: TransformerConfig;
  readonly #weights: TransformerWeights;
  readonly #tensors: readonly Tensor[];
  readonly #rotary: RotaryPositions | undefined;

  private constructor(
    gpu: Gpu,
    name: string,
    config: TransformerConfig,
    weights: TransformerWeights,
    tensors: readonly Tensor[],
  ) {
    this.gpu = gpu;
    this.#config = config;
    this.#weights = weights;
    this.#tensors = tensors;
    const { positions } = config;
    this.#rotary = positions.kind === 'rotary' ? new RotaryPositions(gpu, positions) : undefined;
    this.weightBytes = tensors.reduce((sum, tensor) => sum + gpu.bytesOf(tensor), 0);
    this.facts = {
      name,
      architecture: config.architecture,
      layers: config.layers,
      layerKinds: config.layerKinds,
      heads: config.heads,
      kvHeads: config.kvHeads,
      headSize: config.headSize,
      hiddenSize: config.hiddenSize,
      vocabularySize: config.vocabularySize,
      contextLength: config.contextLength,
      causal: config.causal,
      ...(config.maskedDiffusion ? { phases: ['encode', 'denoise'] } : {}),
      activations: layerActivations.filter(
        (name) =>
          (name !== 'residual.mid' || !config.parallelBranches) &&
          (name !== 'attention.gate' || config.outputGate !== undefined),
      ),
    };
  }

  /**
   * Uploads a network's weights.
   * @param name Name or path that the user knows it by.
   * @throws WeightFileError where a tensor is missing or has another shape; OutOfMemoryError
   */
  static async load(
    gpu: Gpu,
    name: string,
    config: TransformerConfig,
    file: WeightFile,
    { dtype, onNotice, onProgress = () => undefined }: TransformerLoadOptions = {},
  ): Promise<Transformer> {
    const loader = new WeightLoader(gpu, loadableWeights(file, { dtype, onNotice }));
    try {
      const weights = await loadTransformerWeights(loader, config, familyOf(config.architecture).names, onProgress);
      return new Transformer(gpu, name, config, weights, loader.tensors);
    } catch (error) {
      loader.dispose();
      throw error;
    }
  }

  get residentBytes(): number {
    const held = this.#tensors.reduce((sum, tensor) => sum + pooledBytes(tensor), 0);
    return held + (this.#rotary?.tensors ?? []).reduce((sum, tensor) => sum + pooledBytes(tensor), 0);
  }

  reserve(positions: number): void {
    this.#rotary?.cover(positions);
  }

  createCache(capacity: number, run?: MethodRun): KvCache {
    const { layerKinds, slidingWindow, kvHeads, headSize } = this.#config;
    // Layers with a window keep a ring of it.
    const own = layerKinds.map((kind) =>
      kind === 'window' ? ({ kind, window: slidingWindow as number } as const) : ({ kind: 'contiguous' } as const),
    );
    const layers = run?.layerCaches(own) ?? own;
    const dtype = run?.cacheDtype ?? 'f32';
    return KvCache.create(this.gpu, { layers, kvHeads, headSize, capacity, dtype });
  }

  forward(input: NetworkInput, run: MethodRun, layers = this.#config.layers): Tensor {
    const config = this.#config;
    const rotary = this.#rotary;
    rotary?.cover(run.positionBound);
    const embedded = this.gpu.tidy(() => run.activation(-1, 'embedding', this.#embed(input, run)));
    const x = run.layers(layers, embedded, (index, entering) =>
      transformerLayer({ config, index, weights: this.#weights.layers[index] as LayerWeights, run, rotary }, entering),
    );
    const hidden = run.activation(-1, 'finalNorm', this.finalNorm(x));
    x.dispose();
    return hidden;
  }

  finalNorm(x: Tensor): Tensor {
    const { finalNorm } = this.#weights;
    return finalNorm ? norm(x, finalNorm, this.#config.norm) : x.alias();
  }

  logits(hidden: Tensor): Tensor {
    const { head } = this.#weights;
    if (!head)
      throw new RefusedError(`The checkpoint of ${this.facts.name} has no output head; it gives hidden rows only.`);
    return this.gpu.tidy(() => outputHead(this.#config, head, hidden));
  }

  dispose(): void {
    for (const tensor of this.#tensors) tensor.dispose();
    this.#rotary?.dispose();
  }

  /** What enters the first layer: [N, E]. */
  #embed({ ids, tokenTypes, features = [] }: NetworkInput, run: MethodRun): Tensor {
    const { embedding: table, positionEmbedding, tokenTypeEmbedding, embeddingNorm } = this.#weights;
    const { embeddingScale } = this.#config;
    let x = embedding(table, ids);
    if (embeddingScale !== undefined) x = scale(x, embeddingScale);
    for (const { rows, values } of features) {
      scatterRows(x, this.gpu.tensor(rows, [rows.length], 'u32'), values);
    }
    if (positionEmbedding) x = addLearnedPositions(x, positionEmbedding, run);
    if (tokenTypeEmbedding) x = addTokenTypes(x, tokenTypeEmbedding, tokenTypes ?? firstType(ids));
    return embeddingNorm ? norm(x, embeddingNorm, this.#config.norm) : x;
  }
}

/** Every token of type 0: u32, as long as `ids`. */
function firstType(ids: Tensor): Tensor {
  return ids.gpu.tensor(new Uint32Array(ids.size), ids.shape, 'u32');
}

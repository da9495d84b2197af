import {
  addRmsNorm,
  embedding,
  type Gpu,
  gatedActivation,
  KvCache,
  linear,
  type MethodRun,
  type ModelFacts,
  type RopeTable,
  rmsNorm,
  rope,
  ropeTable,
  type Tensor,
} from '@saccade/core';
import type { LlamaConfig } from '../../weights/model-config.ts';
import type { WeightFile } from '../../weights/types.ts';
import type { Architecture } from '../architecture.ts';
import { type LlamaLayerWeights, type LlamaWeights, llamaTensors, loadLlamaWeights } from './llama-weights.ts';

/** The Llama family: RMSNorm, rotary positions, grouped-query attention, gated SiLU MLP. */
export class Llama implements Architecture {
  readonly gpu: Gpu;
  readonly facts: ModelFacts;
  readonly weightBytes: number;
  readonly #config: LlamaConfig;
  readonly #weights: LlamaWeights;
  #rope: RopeTable;

  private constructor(gpu: Gpu, name: string, config: LlamaConfig, weights: LlamaWeights) {
    this.gpu = gpu;
    this.#config = config;
    this.#weights = weights;
    this.#rope = this.#makeRopeTable(1024);
    this.weightBytes = [...llamaTensors(weights)].reduce((sum, tensor) => sum + gpu.bytesOf(tensor), 0);
    this.facts = {
      name,
      architecture: 'llama',
      layers: config.layers,
      layerKinds: new Array(config.layers).fill('global'),
      heads: config.heads,
      kvHeads: config.kvHeads,
      headSize: config.headSize,
      hiddenSize: config.hiddenSize,
      vocabularySize: config.vocabularySize,
      contextLength: config.contextLength,
      causal: true,
    };
  }

  static async load(
    gpu: Gpu,
    name: string,
    config: LlamaConfig,
    file: WeightFile,
    onProgress?: (share: number) => void,
  ): Promise<Llama> {
    return new Llama(gpu, name, config, await loadLlamaWeights(gpu, file, config, onProgress));
  }

  createCache(capacity: number): KvCache {
    const { layers, kvHeads, headSize } = this.#config;
    return KvCache.create(this.gpu, { layers, kvHeads, headSize, capacity });
  }

  forward(ids: Tensor, cache: KvCache, run: MethodRun): Tensor {
    const { gpu } = this;
    const count = ids.shape[0] as number;
    this.#ensurePositions(cache.length + count);
    run.beginPass();
    let x = embedding(this.#weights.embedding, ids);
    for (const [index, layer] of this.#weights.layers.entries()) {
      const input = x;
      x = gpu.tidy(() => this.#layer(index, layer, input, cache, run));
      input.dispose();
    }
    cache.advance(count);
    const hidden = rmsNorm(x, this.#weights.norm, { epsilon: this.#config.rmsNormEpsilon });
    x.dispose();
    return hidden;
  }

  logits(hidden: Tensor): Tensor {
    return linear(hidden, this.#weights.head);
  }

  dispose(): void {
    for (const tensor of llamaTensors(this.#weights)) tensor.dispose();
    this.#rope.dispose();
  }

  /** One transformer layer over x [N, E]. */
  #layer(index: number, weights: LlamaLayerWeights, x: Tensor, cache: KvCache, run: MethodRun): Tensor {
    const { rmsNormEpsilon: epsilon } = this.#config;
    const normed = rmsNorm(x, weights.attentionNorm, { epsilon });
    const attended = this.#attention(index, normed, weights, cache, run);
    const projected = linear(attended, weights.output);
    const mlp = addRmsNorm(projected, x, weights.mlpNorm, { epsilon });
    const [gate, up] = weights.gateUp.map((matrix) => linear(mlp.normed, matrix)) as [Tensor, Tensor?];
    const activated = up
      ? gatedActivation(gate, up, { activation: 'silu' })
      : gatedActivation(gate, { activation: 'silu' });
    return linear(activated, weights.down, { residual: mlp.sum });
  }

  /** Attention over the normed input x [N, E]; returns [N, H D]. */
  #attention(index: number, x: Tensor, weights: LlamaLayerWeights, cache: KvCache, run: MethodRun): Tensor {
    const { heads, headSize, ropeLayout } = this.#config;
    const count = x.shape[0] as number;
    const start = cache.length;
    const [queries, keys, v] = this.#project(x, weights.qkv);
    const q = rope(queries, this.#rope, { start, layout: ropeLayout });
    const k = rope(keys, this.#rope, { start, layout: ropeLayout });
    const layerCache = cache.layer(index);
    layerCache.append(headsFirst(k), headsFirst(v));
    const output = run.attend(index, start + count, {
      q: headsFirst(q),
      keys: layerCache.keys,
      values: layerCache.values,
      options: { causal: true, keyLength: start + count },
    });
    return output.transpose(0, 2, 1, 3).reshape([count, heads * headSize]);
  }

  /** Queries [N, H, D], keys and values [N, Hkv, D]: parts of the joint projection, or projected one by one. */
  #project(x: Tensor, matrices: readonly Tensor[]): [queries: Tensor, keys: Tensor, values: Tensor] {
    const { heads, kvHeads, headSize } = this.#config;
    const count = x.shape[0] as number;
    const projected = matrices.map((matrix) => linear(x, matrix));
    let from = 0;
    return [heads, kvHeads, kvHeads].map((size, part) => {
      const start = from;
      from += size * headSize;
      const own = projected.length === 1 ? projected[0]?.slice(1, start, from) : projected[part];
      return (own as Tensor).reshape([count, size, headSize]);
    }) as [Tensor, Tensor, Tensor];
  }

  #ensurePositions(count: number): void {
    if (count <= this.#rope.positions) return;
    this.#rope.dispose();
    this.#rope = this.#makeRopeTable(2 ** Math.ceil(Math.log2(count)));
  }

  #makeRopeTable(positions: number): RopeTable {
    const { headSize, ropeTheta, ropeScaling } = this.#config;
    return ropeTable(this.gpu, {
      rotarySize: headSize,
      base: ropeTheta,
      positions,
      ...(ropeScaling ? { scaling: ropeScaling } : {}),
    });
  }
}

/** [N, heads, D] as [1, heads, N, D]. */
function headsFirst(x: Tensor): Tensor {
  return x.reshape([1, ...x.shape]).transpose(0, 2, 1, 3);
}

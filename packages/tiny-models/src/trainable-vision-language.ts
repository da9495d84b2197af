import { type Gpu, type RopeTable, ropeTable, ShapeError, type Tensor } from '@saccade/core';
import {
  add,
  attention,
  concatenate,
  contiguous,
  crossEntropy,
  linear,
  scale,
  sum,
  type Value,
} from '@saccade/core/autodiff';
import {
  CausalLm,
  type CausalLmConfig,
  Conv2d,
  Embedding,
  type Initializer,
  LayerNorm,
  Linear,
  Mlp,
  Module,
} from '@saccade/core/nn';
import type { SceneImage } from './scenes/draw.ts';

/** An image encoder of SigLIP's kind whose tokens stand in a Llama's text, as in Idefics3 and SmolVLM. */
export interface VisionLanguageConfig {
  readonly vision: {
    readonly hiddenSize: number;
    readonly layers: number;
    readonly heads: number;
    readonly intermediateSize: number;
    /** Pixels of a side of the image. */
    readonly imageSize: number;
    /** Pixels of a side of a patch. */
    readonly patchSize: number;
  };
  /** So many patches along each side become one image token. */
  readonly scaleFactor: number;
  readonly text: CausalLmConfig;
}

/** The network that `tools/oracle/train_tiny_vision_language.py` trains on scenes: 5 M parameters in the layout of SmolVLM. */
export const scenesConfig: VisionLanguageConfig = {
  vision: { hiddenSize: 128, layers: 4, heads: 4, intermediateSize: 512, imageSize: 128, patchSize: 8 },
  scaleFactor: 2,
  text: {
    vocabularySize: 493,
    hiddenSize: 256,
    layers: 6,
    heads: 8,
    intermediateSize: 512,
    contextLength: 512,
  },
};

/** Self-attention without a mask, with biases, named as in SigLIP's checkpoints. */
class VisionAttention extends Module {
  readonly q_proj: Linear;
  readonly k_proj: Linear;
  readonly v_proj: Linear;
  readonly out_proj: Linear;
  readonly #heads: number;

  constructor(init: Initializer, size: number, heads: number) {
    super();
    const matrix = () => new Linear(init, { inputs: size, outputs: size });
    this.q_proj = matrix();
    this.k_proj = matrix();
    this.v_proj = matrix();
    this.out_proj = matrix();
    this.#heads = heads;
  }

  /** @param x f32 [B, N, size] */
  forward(x: Value): Value {
    const [batches, tokens, size] = x.shape as [number, number, number];
    const split = (part: Linear) =>
      part
        .forward(x)
        .reshape([batches, tokens, this.#heads, size / this.#heads])
        .transpose(0, 2, 1, 3);
    const mixed = attention(split(this.q_proj), split(this.k_proj), split(this.v_proj), { causal: false });
    return this.out_proj.forward(mixed.transpose(0, 2, 1, 3).reshape([batches, tokens, size]));
  }
}

class VisionLayer extends Module {
  readonly self_attn: VisionAttention;
  readonly layer_norm1: LayerNorm;
  readonly mlp: Mlp;
  readonly layer_norm2: LayerNorm;

  constructor(init: Initializer, { hiddenSize, heads, intermediateSize }: VisionLanguageConfig['vision']) {
    super();
    const norm = () => new LayerNorm(init, { size: hiddenSize, epsilon: 1e-6 });
    this.self_attn = new VisionAttention(init, hiddenSize, heads);
    this.layer_norm1 = norm();
    this.mlp = new Mlp(init, { size: hiddenSize, hidden: intermediateSize, activation: 'geluTanh' });
    this.layer_norm2 = norm();
  }

  forward(x: Value): Value {
    return x.gpu.tidy(() => {
      const mixed = add(x, this.self_attn.forward(this.layer_norm1.forward(x)));
      return add(mixed, this.mlp.forward(this.layer_norm2.forward(mixed)));
    });
  }
}

/** The patches' embedding: a convolution that steps from patch to patch, and learned positions. */
class VisionEmbeddings extends Module {
  readonly patch_embedding: Conv2d;
  readonly position_embedding: Embedding;

  constructor(init: Initializer, { hiddenSize, imageSize, patchSize }: VisionLanguageConfig['vision']) {
    super();
    this.patch_embedding = new Conv2d(init, { inputs: 3, outputs: hiddenSize, kernel: patchSize, stride: patchSize });
    this.position_embedding = new Embedding(init, {
      vocabulary: (imageSize / patchSize) ** 2,
      size: hiddenSize,
      deviation: 0.02,
    });
  }
}

class VisionTower extends Module {
  readonly embeddings: VisionEmbeddings;
  readonly encoder: { readonly layers: readonly VisionLayer[] };
  readonly post_layernorm: LayerNorm;

  constructor(init: Initializer, config: VisionLanguageConfig['vision']) {
    super();
    this.embeddings = new VisionEmbeddings(init, config);
    this.encoder = new Encoder(Array.from({ length: config.layers }, () => new VisionLayer(init, config)));
    this.post_layernorm = new LayerNorm(init, { size: config.hiddenSize, epsilon: 1e-6 });
  }

  /** @param images f32 [B, 3, S, S] @returns f32 [B, patches, hiddenSize] */
  forward(images: Value): Value {
    const { patch_embedding, position_embedding } = this.embeddings;
    const patches = patch_embedding.forward(images);
    const [batches, size] = patches.shape as [number, number];
    const embedded = add(patches.reshape([batches, size, -1]).transpose(0, 2, 1), position_embedding.weight.value);
    return this.post_layernorm.forward(this.encoder.layers.reduce((x, layer) => layer.forward(x), embedded));
  }
}

class Encoder extends Module {
  readonly layers: readonly VisionLayer[];

  constructor(layers: readonly VisionLayer[]) {
    super();
    this.layers = layers;
  }
}

class Projection extends Module {
  readonly proj: Linear;

  constructor(init: Initializer, inputs: number, outputs: number) {
    super();
    this.proj = new Linear(init, { inputs, outputs, bias: false });
  }
}

class Connector extends Module {
  readonly modality_projection: Projection;

  constructor(init: Initializer, inputs: number, outputs: number) {
    super();
    this.modality_projection = new Projection(init, inputs, outputs);
  }
}

class Parts extends Module {
  readonly vision_model: VisionTower;
  readonly connector: Connector;
  readonly text_model: CausalLm['model'];

  constructor(init: Initializer, config: VisionLanguageConfig, text: CausalLm['model']) {
    super();
    const { vision, scaleFactor } = config;
    this.vision_model = new VisionTower(init, vision);
    this.connector = new Connector(init, vision.hiddenSize * scaleFactor ** 2, config.text.hiddenSize);
    this.text_model = text;
  }
}

/** A batch of prompts with their answers, an image each. */
export interface VisionLanguageBatch {
  /** f32 [B, 3, S, S] from -1 to 1, as {@link pixelTensor} makes them. */
  readonly images: Tensor;
  /** u32 [B, N]; the image tokens of all rows stand at the same places. */
  readonly ids: Tensor;
  /** u32 [B, N]: the token behind each; `ignoreIndex` where none counts. */
  readonly targets: Tensor;
  readonly ignoreIndex: number;
  /** How many targets count. */
  readonly counted: number;
  /** Position of the first image token. */
  readonly imageStart: number;
}

/**
 * A vision-language model to train: the network of Idefics3 with one image a prompt, from the core's modules. Its safetensors
 * file has the names of `Idefics3ForConditionalGeneration`.
 */
export class TrainableVisionLanguageModel extends Module {
  readonly model: Parts;
  readonly #config: VisionLanguageConfig;
  readonly #text: CausalLm;
  readonly #rope: RopeTable;

  /** @throws ArgumentError for a text configuration out of its range */
  constructor(init: Initializer, config: VisionLanguageConfig) {
    super();
    this.#config = config;
    this.#text = new CausalLm(init, config.text);
    this.model = new Parts(init, config, this.#text.model);
    const { headSize, contextLength, ropeTheta } = this.#text.config;
    this.#rope = ropeTable(init.gpu, { rotarySize: headSize, positions: contextLength, base: ropeTheta });
  }

  /** What stands for the image tokens. @param images f32 [B, 3, S, S] @returns f32 [B, tokens, hiddenSize] */
  imageFeatures(images: Value): Value {
    return images.gpu.tidy(() => {
      const { scaleFactor: factor, vision } = this.#config;
      const seen = this.model.vision_model.forward(images);
      const [batches] = seen.shape as [number];
      const side = vision.imageSize / vision.patchSize;
      // Squares of patches next to each other become one token: [rows, factor, columns, factor x size].
      const squares = seen
        .reshape([batches, side / factor, factor, side / factor, factor * vision.hiddenSize])
        .transpose(0, 1, 3, 2, 4);
      const shuffled = contiguous(squares).reshape([batches, (side / factor) ** 2, factor ** 2 * vision.hiddenSize]);
      return this.model.connector.modality_projection.proj.forward(shuffled);
    });
  }

  /** Logits of the next token at each position, f32 [B, N, vocabularySize]. @throws ShapeError where the image tokens have no room */
  forward({ images, ids, imageStart }: Omit<VisionLanguageBatch, 'targets' | 'counted' | 'ignoreIndex'>): Value {
    return ids.gpu.tidy(() => {
      const { embed_tokens, layers, norm } = this.model.text_model;
      const features = this.imageFeatures(images);
      const [batches, tokens] = ids.shape as [number, number];
      const end = imageStart + (features.shape[1] as number);
      if (end > tokens || features.shape[0] !== batches) {
        const given = `ids are [${ids.shape}] and image tokens [${features.shape}] from ${imageStart} on`;
        throw new ShapeError('TrainableVisionLanguageModel', `${given}; they must fit into the ids.`);
      }
      const words = (from: number, to: number) => embed_tokens.forward(ids.slice(1, from, to));
      const parts = [words(0, imageStart), features, ...(end < tokens ? [words(end, tokens)] : [])];
      const context = (layer: number) => ({ layer, rope: this.#rope, drop: (x: Value) => x });
      const hidden = layers.reduce((x: Value, block, layer) => block.forward(x, context(layer)), concatenate(parts, 1));
      return linear(norm.forward(hidden), embed_tokens.weight.value);
    });
  }

  /** Mean cross-entropy in nats of the targets that count, f32 []. */
  loss(batch: VisionLanguageBatch): Value {
    const { targets, ignoreIndex, counted } = batch;
    return targets.gpu.tidy(() => {
      const rows = this.forward(batch).reshape([targets.size, this.#config.text.vocabularySize]);
      return scale(sum(crossEntropy(rows, targets.reshape([targets.size]), { ignoreIndex })), 1 / counted);
    });
  }

  override dispose(): void {
    super.dispose();
    this.#text.dispose();
    this.#rope.dispose();
  }
}

/** Images of bytes, all of one size, as numbers from -1 to 1: f32 [B, 3, height, width]. @throws ShapeError where there are none */
export function pixelTensor(gpu: Gpu, images: readonly Omit<SceneImage, 'channels'>[]): Tensor {
  const [first] = images;
  if (!first) throw new ShapeError('pixelTensor', 'there are no images.');
  const pixels = first.width * first.height;
  const out = new Float32Array(images.length * 3 * pixels);
  for (const [index, { data }] of images.entries()) {
    for (let at = 0; at < 3 * pixels; at++) {
      out[(index * 3 + (at % 3)) * pixels + Math.floor(at / 3)] = (data[at] as number) / 127.5 - 1;
    }
  }
  return gpu.tensor(out, [images.length, 3, first.height, first.width]);
}

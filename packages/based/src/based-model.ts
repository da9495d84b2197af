import { add, contiguous, type Gpu, KvCache, type RopeTable, ropeTable, ShapeError, type Tensor } from '@saccade/core';
import { add as addValues, type Value } from '@saccade/core/autodiff';
import { Embedding, GatedMlp, type Initializer, Linear, Module, RmsNorm } from '@saccade/core/nn';
import { type BasedConfig, type FullBasedConfig, fullBasedConfig } from './config.ts';
import { makeMixer } from './layer-kind.ts';
import type { CachedContext, CachedMixer } from './mixer.ts';

/** A mixer, and behind it an MLP where the model has them; each reads the normed residual stream and is added to it. */
class BasedBlock extends Module {
  readonly norm1: RmsNorm;
  readonly mixer: CachedMixer;
  readonly norm2: RmsNorm | undefined;
  readonly mlp: GatedMlp | undefined;

  constructor(init: Initializer, kind: FullBasedConfig['layers'][number], config: FullBasedConfig) {
    super();
    const { hiddenSize: size, mlpRatio } = config;
    this.norm1 = new RmsNorm(init, { size });
    this.mixer = makeMixer(kind, init, config);
    const hidden = Math.round(mlpRatio * size);
    this.norm2 = hidden > 0 ? new RmsNorm(init, { size }) : undefined;
    this.mlp = hidden > 0 ? new GatedMlp(init, { size, hidden }) : undefined;
  }

  /** @param x f32 [B, N, hiddenSize] */
  forward(x: Value, context: { readonly layer: number; readonly rope: RopeTable }): Value {
    const mixed = this.mixer.forward(this.norm1.forward(x), { ...context, drop: (value) => value });
    return this.#behind(addValues(x, mixed));
  }

  forwardCached(x: Tensor, context: CachedContext): Tensor {
    const mixed = this.mixer.forwardCached(this.norm1.forward(x) as Tensor, context);
    return this.#behind(add(x, mixed)) as Tensor;
  }

  #behind(x: Value): Value {
    return this.norm2 && this.mlp ? addValues(x, this.mlp.forward(this.norm2.forward(x))) : x;
  }
}

/**
 * A language model of Based's layers: token embedding without positions, pre-normed residual blocks, a head of its own (section 4.3).
 * `forward` is the parallel form, to train with; `forwardCached` the recurrent one, whose cache does not grow unless a layer is full attention.
 */
export class BasedModel extends Module {
  readonly embeddings: Embedding;
  readonly layers: readonly BasedBlock[];
  readonly norm: RmsNorm;
  readonly lm_head: Linear;
  readonly #config: FullBasedConfig;
  readonly #rope: RopeTable;

  /** @throws ArgumentError, OptionError for a configuration out of its range */
  constructor(init: Initializer, config: BasedConfig) {
    super();
    const full = fullBasedConfig(config);
    const { vocabularySize: vocabulary, hiddenSize: size, heads, contextLength } = full;
    this.#config = full;
    this.embeddings = new Embedding(init, { vocabulary, size });
    this.layers = full.layers.map((kind) => new BasedBlock(init, kind, full));
    this.norm = new RmsNorm(init, { size });
    this.lm_head = new Linear(init, { inputs: size, outputs: vocabulary, bias: false });
    const headSize = size / heads;
    this.#rope = ropeTable(init.gpu, { rotarySize: headSize - (headSize % 2), positions: contextLength });
  }

  /** With all defaults filled in. */
  get config(): FullBasedConfig {
    return this.#config;
  }

  get gpu(): Gpu {
    return this.#rope.cos.gpu;
  }

  /**
   * Logits of the next token at each position.
   *
   * @param ids u32 [B, N], N within the context
   * @returns f32 [B, N, vocabularySize]
   * @throws ShapeError for other ids
   */
  forward(ids: Tensor): Value {
    this.#check(ids, 0);
    return ids.gpu.tidy(() => {
      let x = this.embeddings.forward(ids);
      this.layers.forEach((block, layer) => {
        x = block.forward(x, { layer, rope: this.#rope });
      });
      return this.lm_head.forward(this.norm.forward(x));
    });
  }

  /** A cache without tokens, one layer per layer of the model. The caller disposes it. */
  createCache(options: { readonly batch?: number; readonly capacity?: number } = {}): KvCache {
    const { hiddenSize, heads, contextLength } = this.#config;
    const { batch = 1, capacity = contextLength } = options;
    const layers = this.layers.map(({ mixer }) => mixer.cacheSpec(batch));
    return KvCache.create(this.gpu, { layers, batch, kvHeads: heads, headSize: hiddenSize / heads, capacity });
  }

  /**
   * As {@link forward}, of tokens behind those in the cache, which takes them in: a prompt at once, then one token at a time.
   *
   * @param ids u32 [B, N], N >= 1
   * @returns f32 [B, N, vocabularySize]
   * @throws ShapeError for other ids, or where sequences of the cache differ in length
   */
  forwardCached(ids: Tensor, cache: KvCache): Tensor {
    const [start = 0] = cache.lengths;
    if (cache.batch !== ids.shape[0] || cache.lengths.some((length) => length !== start)) {
      throw new ShapeError(
        'BasedModel',
        `ids are [${ids.shape}], the cache holds sequences of ${cache.lengths} tokens.`,
      );
    }
    this.#check(ids, start);
    const tokens = ids.shape[1] as number;
    return ids.gpu.tidy(() => {
      const rope = {
        ...this.#rope,
        cos: this.#positions('cos', start, tokens),
        sin: this.#positions('sin', start, tokens),
        positions: tokens,
      };
      let x = this.embeddings.forward(ids) as Tensor;
      this.layers.forEach((block, layer) => {
        x = block.forwardCached(x, { layer, cache, rope });
      });
      cache.advance(tokens);
      return this.lm_head.forward(this.norm.forward(x)) as Tensor;
    });
  }

  override dispose(): void {
    super.dispose();
    this.#rope.dispose();
  }

  #positions(which: 'cos' | 'sin', start: number, count: number): Tensor {
    // Any position may be the first: a copy where the view cannot be bound.
    return contiguous(this.#rope[which].slice(0, start, start + count));
  }

  #check(ids: Tensor, start: number): void {
    const { contextLength } = this.#config;
    const [, tokens = 0] = ids.shape;
    if (ids.rank !== 2 || ids.dtype !== 'u32' || tokens < 1 || start + tokens > contextLength) {
      const given = `ids are ${ids.dtype}[${ids.shape}] behind ${start} tokens`;
      throw new ShapeError('BasedModel', `${given}; it needs u32 [B, N], N >= 1 and at most ${contextLength} in all.`);
    }
  }
}

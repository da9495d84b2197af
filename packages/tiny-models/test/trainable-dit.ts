import type { Gpu, Tensor } from '@saccade/core';
import {
  add,
  attention,
  embedding,
  gelu,
  layerNorm,
  linear,
  multiply,
  silu,
  split,
  type Value,
} from '@saccade/core/autodiff';
import { Module, Parameter } from '@saccade/core/nn';

/** Sizes of the shipped network. */
const [width, heads, headSize, layers, patchValues, labels] = [160, 5, 32, 8, 12, 17] as const;

class Dense extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter;

  constructor(gpu: Gpu, inputs: number, outputs: number) {
    super();
    this.weight = new Parameter(gpu.zeros([outputs, inputs]));
    this.bias = new Parameter(gpu.zeros([outputs]));
  }

  forward(x: Value): Value {
    return linear(x, this.weight.value, { bias: this.bias.value });
  }
}

/** The convolution over patches, as a product with their values. */
class PatchProjection extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter;

  constructor(gpu: Gpu) {
    super();
    this.weight = new Parameter(gpu.zeros([width, 3, 2, 2]));
    this.bias = new Parameter(gpu.zeros([width]));
  }

  forward(x: Value): Value {
    return linear(x, this.weight.value.reshape([width, patchValues]), { bias: this.bias.value });
  }
}

class Patches extends Module {
  readonly proj: PatchProjection;

  constructor(gpu: Gpu) {
    super();
    this.proj = new PatchProjection(gpu);
  }
}

class TimestepEmbedder extends Module {
  readonly linear_1: Dense;
  readonly linear_2: Dense;

  constructor(gpu: Gpu) {
    super();
    this.linear_1 = new Dense(gpu, 256, width);
    this.linear_2 = new Dense(gpu, width, width);
  }
}

class Table extends Module {
  readonly weight: Parameter;

  constructor(gpu: Gpu) {
    super();
    this.weight = new Parameter(gpu.zeros([labels, width]));
  }
}

class LabelEmbedder extends Module {
  readonly embedding_table: Table;

  constructor(gpu: Gpu) {
    super();
    this.embedding_table = new Table(gpu);
  }
}

class ConditionEmbedding extends Module {
  readonly timestep_embedder: TimestepEmbedder;
  readonly class_embedder: LabelEmbedder;

  constructor(gpu: Gpu) {
    super();
    this.timestep_embedder = new TimestepEmbedder(gpu);
    this.class_embedder = new LabelEmbedder(gpu);
  }

  /** @param waves f32 [B, 256] @param ids u32 [B] @returns f32 [B, width], passed through SiLU */
  forward(waves: Tensor, ids: Tensor): Value {
    const { linear_1, linear_2 } = this.timestep_embedder;
    const time = linear_2.forward(silu(linear_1.forward(waves)));
    return silu(add(time, embedding(this.class_embedder.embedding_table.weight.value, ids)));
  }
}

class Modulation extends Module {
  readonly emb: ConditionEmbedding;
  readonly linear: Dense;

  constructor(gpu: Gpu) {
    super();
    this.emb = new ConditionEmbedding(gpu);
    this.linear = new Dense(gpu, width, 6 * width);
  }
}

class SelfAttention extends Module {
  readonly to_q: Dense;
  readonly to_k: Dense;
  readonly to_v: Dense;
  readonly to_out: readonly Dense[];

  constructor(gpu: Gpu) {
    super();
    const dense = () => new Dense(gpu, width, width);
    [this.to_q, this.to_k, this.to_v, this.to_out] = [dense(), dense(), dense(), [dense()]];
  }

  forward(x: Value): Value {
    const [batch, tokens] = x.shape as [number, number];
    const split = (projected: Value) => projected.reshape([batch, tokens, heads, headSize]).transpose(0, 2, 1, 3);
    const z = attention(split(this.to_q.forward(x)), split(this.to_k.forward(x)), split(this.to_v.forward(x)));
    return (this.to_out[0] as Dense).forward(z.transpose(0, 2, 1, 3).reshape([batch, tokens, width]));
  }
}

class GeluProjection extends Module {
  readonly proj: Dense;

  constructor(gpu: Gpu) {
    super();
    this.proj = new Dense(gpu, width, 4 * width);
  }
}

class FeedForward extends Module {
  /** The second entry is a dropout in diffusers, without weights. */
  readonly net: readonly [GeluProjection, undefined, Dense];

  constructor(gpu: Gpu) {
    super();
    this.net = [new GeluProjection(gpu), undefined, new Dense(gpu, 4 * width, width)];
  }

  forward(x: Value): Value {
    return this.net[2].forward(gelu(this.net[0].proj.forward(x), { approximate: 'tanh' }));
  }
}

class Block extends Module {
  readonly norm1: Modulation;
  readonly attn1: SelfAttention;
  readonly ff: FeedForward;

  constructor(gpu: Gpu) {
    super();
    this.norm1 = new Modulation(gpu);
    this.attn1 = new SelfAttention(gpu);
    this.ff = new FeedForward(gpu);
  }

  forward(x: Value, waves: Tensor, ids: Tensor): Value {
    const [batch] = x.shape as [number];
    const changes = this.norm1.linear.forward(this.norm1.emb.forward(waves, ids)).reshape([batch, 1, 6 * width]);
    const [shift, scale, gate, mlpShift, mlpScale, mlpGate] = split(changes, new Array(6).fill(width)) as Value[] as [
      Value,
      Value,
      Value,
      Value,
      Value,
      Value,
    ];
    const attended = add(x, multiply(gate, this.attn1.forward(modulated(x, shift, scale, 1e-6))));
    return add(attended, multiply(mlpGate, this.ff.forward(modulated(attended, mlpShift, mlpScale, 1e-5))));
  }
}

/** norm(x) (1 + scale) + shift. */
function modulated(x: Value, shift: Value, scale: Value, epsilon: number): Value {
  const { gpu } = x;
  const ones = gpu.tensor(new Float32Array(width).fill(1), [width]);
  const normed = layerNorm(x, ones, undefined, { epsilon });
  return add(add(normed, multiply(normed, scale)), shift);
}

/** The shipped diffusion transformer, to be trained, under diffusers' names. */
export class TrainableDit extends Module {
  readonly pos_embed: Patches;
  readonly transformer_blocks: readonly Block[];
  readonly proj_out_1: Dense;
  readonly proj_out_2: Dense;

  constructor(gpu: Gpu) {
    super();
    this.pos_embed = new Patches(gpu);
    this.transformer_blocks = Array.from({ length: layers }, () => new Block(gpu));
    this.proj_out_1 = new Dense(gpu, width, 2 * width);
    this.proj_out_2 = new Dense(gpu, width, patchValues);
  }

  /**
   * @param patches f32 [B, side^2, 12], values by channel, row, column
   * @param times timesteps, B
   * @param ids labels u32 [B]
   * @returns f32 [B, side^2, 12], values by row, column, channel
   */
  forward(patches: Tensor, times: readonly number[], ids: Tensor): Value {
    const { gpu } = patches;
    return gpu.tidy(() => {
      const [batch, tokens] = patches.shape as [number, number];
      const waves = gpu.tensor(times.flatMap(timeWaves), [batch, 256]);
      const places = gpu.tensor(positions(Math.sqrt(tokens)), [1, tokens, width]);
      let x = add(this.pos_embed.proj.forward(patches), places);
      for (const block of this.transformer_blocks) x = block.forward(x, waves, ids);
      const condition = (this.transformer_blocks[0] as Block).norm1.emb.forward(waves, ids);
      const [shift, scale] = split(this.proj_out_1.forward(condition).reshape([batch, 1, 2 * width]), [
        width,
        width,
      ]) as Value[] as [Value, Value];
      return this.proj_out_2.forward(modulated(x, shift, scale, 1e-6));
    });
  }
}

/** Cosines and sines of a timestep at 128 frequencies from 1 to 1e-4. */
function timeWaves(time: number): number[] {
  const angles = Array.from({ length: 128 }, (_, at) => time * Math.exp((-Math.log(10_000) * at) / 127));
  return [...angles.map(Math.cos), ...angles.map(Math.sin)];
}

/** Sines and cosines of the column, then of the row; a smaller grid spreads over the whole picture. */
function positions(side: number): Float32Array {
  const quarter = width / 4;
  const out = new Float32Array(side * side * width);
  for (let token = 0; token < side * side; token++) {
    const place = [token % side, Math.floor(token / side)].map((at) => at / (side / 16));
    for (const [axis, at] of place.entries()) {
      for (let wave = 0; wave < quarter; wave++) {
        const angle = at * 10_000 ** (-wave / quarter);
        out[token * width + axis * 2 * quarter + wave] = Math.sin(angle);
        out[token * width + axis * 2 * quarter + quarter + wave] = Math.cos(angle);
      }
    }
  }
  return out;
}

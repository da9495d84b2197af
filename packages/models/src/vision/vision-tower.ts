import {
  add,
  attention,
  cast,
  concatenate,
  contiguous,
  embedding,
  type Gpu,
  layerNorm,
  type RopeTable,
  rope,
  ropeTable,
  type Tensor,
} from '@saccade/core';
import { activate } from '../architectures/transformer/feed-forward.ts';
import { norm } from '../architectures/transformer/norm.ts';
import { project } from '../architectures/transformer/project.ts';
import type { NormWeights, ProjectionWeights } from '../architectures/transformer/weights.ts';
import { patchNumber } from '../images/patches.ts';
import { gridPositions } from './grid-positions.ts';
import type { VisionTowerConfig } from './vision-config.ts';

/** One layer. */
export interface VisionLayerWeights {
  readonly attentionNorm: NormWeights;
  /** [3 E, E]: query, key, value. */
  readonly qkv: ProjectionWeights;
  readonly output: ProjectionWeights;
  readonly mlpNorm: NormWeights;
  readonly up: ProjectionWeights;
  readonly down: ProjectionWeights;
}

export interface VisionTowerWeights {
  /** [E, 3 * frames * patchSize * patchSize] */
  readonly patches: ProjectionWeights;
  /** [1, E] */
  readonly classToken?: Tensor;
  /** [positions, E] */
  readonly positions?: Tensor;
  readonly preNorm?: NormWeights;
  readonly layers: readonly VisionLayerWeights[];
  readonly postNorm?: NormWeights;
}

/** Pictures of one size as patches, one picture behind the other, each in the tower's order. */
export interface PatchGrid {
  /** f32 [pictures * rows * columns, 3 * frames * patchSize * patchSize] */
  readonly patches: Tensor;
  readonly pictures: number;
  readonly rows: number;
  readonly columns: number;
}

/** A vision transformer on the GPU. Its tokens see all others of their picture. */
export class VisionTower {
  readonly #gpu: Gpu;
  readonly #config: VisionTowerConfig;
  readonly #weights: VisionTowerWeights;

  constructor(gpu: Gpu, config: VisionTowerConfig, weights: VisionTowerWeights) {
    this.#gpu = gpu;
    this.#config = config;
    this.#weights = weights;
  }

  /** Features of the patches, in their order: f32 [pictures * tokens, E]. */
  forward(grid: PatchGrid): Tensor {
    const { classToken, epsilon } = this.#config;
    const { preNorm, postNorm, layers } = this.#weights;
    return this.#gpu.tidy(() => {
      const embedded = this.#embed(grid);
      let x = preNorm ? norm(embedded, preNorm, { kind: 'layer', epsilon, placement: 'before' }) : embedded;
      const rotary = this.#rotary(grid);
      for (const layer of layers) {
        const next = this.#gpu.tidy(() => this.#layer(layer, x, grid.pictures, rotary));
        x.dispose();
        x = next;
      }
      const features = postNorm ? layerNorm(x, postNorm.weight, postNorm.bias, { epsilon }) : x;
      if (classToken !== 'dropped') return features.alias();
      const size = features.shape[1] as number;
      const tokens = features.reshape([grid.pictures, -1, size]);
      return contiguous(tokens.slice(1, 1, tokens.shape[1] as number)).reshape([-1, size]);
    });
  }

  /** Patches with class token and learned positions: [pictures * tokens, E]. */
  #embed({ patches, pictures, rows, columns }: PatchGrid): Tensor {
    const { positions, group, classToken, hiddenSize } = this.#config;
    const { patches: projection, positions: table, classToken: token } = this.#weights;
    const projected = project(patches, projection);
    if (positions.kind !== 'learned' || !table) return projected;
    const leading = classToken === 'none' ? 0 : 1;
    const ids = new Uint32Array(rows * columns + leading);
    const [down, across] = [gridPositions(rows, positions.side), gridPositions(columns, positions.side)];
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        ids[leading + patchNumber(row, column, columns, group)] =
          leading + (down[row] as number) * positions.side + (across[column] as number);
      }
    }
    const each = projected.reshape([pictures, rows * columns, hiddenSize]);
    const all = token
      ? concatenate(
          [contiguous(cast(token, 'f32').reshape([1, 1, hiddenSize]).broadcastTo([pictures, 1, hiddenSize])), each],
          1,
        )
      : each;
    const places = embedding(table, this.#gpu.tensor(ids, [ids.length], 'u32'));
    return add(all, places.reshape([1, ids.length, hiddenSize])).reshape([-1, hiddenSize]);
  }

  #layer(weights: VisionLayerWeights, x: Tensor, pictures: number, rotary: Rotation | undefined): Tensor {
    const { heads, hiddenSize, epsilon } = this.#config;
    const tokens = (x.shape[0] as number) / pictures;
    const headSize = hiddenSize / heads;
    const input = layerNorm(x, weights.attentionNorm.weight, weights.attentionNorm.bias, { epsilon });
    const parts = this.#inRows(input, 3 * hiddenSize, (rows) => project(rows, weights.qkv), 3);
    const [q, k, v] = parts.map((part, index) => {
      const split = part.reshape([pictures, tokens, heads, headSize]);
      const turned = rotary && index < 2 ? rotate(split, rotary) : split;
      return turned.transpose(0, 2, 1, 3);
    }) as [Tensor, Tensor, Tensor];
    const { output } = attention(q, k, v, { causal: false });
    const joined = output.transpose(0, 2, 1, 3).reshape([pictures * tokens, hiddenSize]);
    const attended = project(joined, weights.output, x);
    const mlpInput = layerNorm(attended, weights.mlpNorm.weight, weights.mlpNorm.bias, { epsilon });
    const { intermediateSize, activation } = this.#config;
    const [fed] = this.#inRows(mlpInput, intermediateSize, (rows, start) => {
      const residual = attended.slice(0, start, start + (rows.shape[0] as number));
      return project(activate(project(rows, weights.up), activation), weights.down, residual);
    });
    return fed as Tensor;
  }

  /** Runs rows in parts where `width` numbers per row would not fit into one binding; the output in `split` parts of its columns. */
  #inRows(x: Tensor, width: number, run: (rows: Tensor, start: number) => Tensor, split = 1): Tensor[] {
    const count = x.shape[0] as number;
    const most = Math.max(Math.floor(this.#gpu.capabilities.maxStorageBinding / (4 * width)), 1);
    const outputs: Tensor[] = [];
    for (let start = 0; start < count; start += most) {
      outputs.push(run(x.slice(0, start, Math.min(start + most, count)), start));
    }
    const columns = (outputs[0]?.shape[1] as number) / split;
    return Array.from({ length: split }, (_, part) => {
      const own = outputs.map((output) => output.slice(1, part * columns, (part + 1) * columns));
      return own.length === 1 ? (own[0] as Tensor) : concatenate(own.map(contiguous));
    });
  }

  /** Rows and columns of the patches rotate half of each head's pairs each. */
  #rotary({ rows, columns, pictures }: PatchGrid): Rotation | undefined {
    const { positions, hiddenSize, heads, group } = this.#config;
    if (positions.kind !== 'rotary') return undefined;
    const pairs = hiddenSize / heads / 2;
    const count = rows * columns;
    const places = new Uint32Array(2 * count * pictures);
    for (let picture = 0; picture < pictures; picture++) {
      for (let row = 0; row < rows; row++) {
        for (let column = 0; column < columns; column++) {
          const patch = picture * count + patchNumber(row, column, columns, group);
          places[patch] = row;
          places[count * pictures + patch] = column;
        }
      }
    }
    const half = ropeTable(this.#gpu, {
      rotarySize: pairs,
      base: positions.theta,
      positions: Math.max(rows, columns),
    });
    const table = {
      ...half,
      rotarySize: 2 * pairs,
      cos: concatenate([half.cos, half.cos], 1),
      sin: concatenate([half.sin, half.sin], 1),
    };
    half.dispose();
    return {
      table,
      sections: [pairs / 2, pairs / 2],
      positions: this.#gpu.tensor(places, [2, count * pictures], 'u32'),
    };
  }
}

interface Rotation {
  readonly table: RopeTable;
  readonly sections: readonly number[];
  /** u32 [2, tokens] */
  readonly positions: Tensor;
}

/** Rotates heads [pictures, N, H, D]. */
function rotate(x: Tensor, { table, sections, positions }: Rotation): Tensor {
  const [pictures, tokens, heads, size] = x.shape as [number, number, number, number];
  return rope(x.reshape([pictures * tokens, heads, size]), table, { sections, positions }).reshape(x.shape);
}

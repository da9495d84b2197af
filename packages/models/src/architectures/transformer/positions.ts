import {
  ArgumentError,
  add,
  embedding,
  type Gpu,
  type MethodRun,
  type RopeTable,
  type RotaryRows,
  rope,
  ropeTable,
  type Tensor,
} from '@saccade/core';
import type { PositionConfig, RotaryFrequencies } from '../../weights/model-config.ts';

/** Positions that a rotary table begins with. */
const firstPositions = 1024;

type LayerKind = 'global' | 'window';

/** The rotary tables of a network, one per kind of layer where they differ. They grow with the context. */
export class RotaryPositions {
  readonly #gpu: Gpu;
  readonly #config: PositionConfig & { readonly kind: 'rotary' };
  #tables: Readonly<Record<LayerKind, RopeTable>>;

  constructor(gpu: Gpu, config: PositionConfig & { readonly kind: 'rotary' }) {
    this.#gpu = gpu;
    this.#config = config;
    this.#tables = this.#make(firstPositions);
  }

  /** Makes room for `count` positions. */
  cover(count: number): void {
    if (count <= this.#tables.global.positions) return;
    const longer = this.#make(2 ** Math.ceil(Math.log2(count)));
    this.dispose();
    this.#tables = longer;
  }

  /** The tables' cosines and sines. */
  get tensors(): readonly Tensor[] {
    return [...new Set(Object.values(this.#tables))].flatMap(({ cos, sin }) => [cos, sin]);
  }

  /** Rotates queries or keys [N, H, D] of tokens at `positions`. */
  rotate(x: Tensor, kind: LayerKind, positions: RotaryRows): Tensor {
    const { layout, sections } = this.#config;
    const where = 'axes' in positions ? { positions: positions.axes, ...(sections ? { sections } : {}) } : positions;
    return rope(x, this.#tables[kind], { ...where, layout });
  }

  dispose(): void {
    for (const table of new Set(Object.values(this.#tables))) table.dispose();
  }

  #make(positions: number): Readonly<Record<LayerKind, RopeTable>> {
    const { size, global, window } = this.#config;
    const table = ({ theta, scaling }: RotaryFrequencies) =>
      ropeTable(this.#gpu, { rotarySize: size, base: theta, positions, ...(scaling ? { scaling } : {}) });
    const shared = table(global);
    if (!window) return { global: shared, window: shared };
    try {
      return { global: shared, window: table(window) };
    } catch (error) {
      shared.dispose();
      throw error;
    }
  }
}

/** x [N, E] plus the learned vectors of its tokens' positions. @throws ArgumentError beyond the last one */
export function addLearnedPositions(x: Tensor, table: Tensor, { positions, positionBound }: MethodRun): Tensor {
  const known = table.shape[0] as number;
  if (positionBound > known) {
    throw new ArgumentError('tokens', `a token at position ${positionBound - 1}`, `positions below ${known}`);
  }
  if ('positions' in positions) return add(x, embedding(table, positions.positions));
  const { start } = positions;
  return add(x, table.slice(0, start, start + (x.shape[0] as number)));
}

/** x [N, E] plus the learned vectors of the tokens' types, u32 [N]. */
export function addTokenTypes(x: Tensor, table: Tensor, types: Tensor): Tensor {
  return add(x, embedding(table, types));
}

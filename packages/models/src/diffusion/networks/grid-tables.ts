import type { TokenGrid } from '@saccade/core';

/** Something on the GPU that depends on the token grid alone, kept until another grid is asked for. */
export class GridTable<Table extends { dispose(): void }> {
  readonly #make: (grid: TokenGrid) => Table;
  #key = '';
  #table: Table | undefined;

  constructor(make: (grid: TokenGrid) => Table) {
    this.#make = make;
  }

  of(grid: TokenGrid): Table {
    const { frames = 1, height, width } = grid;
    const key = `${frames} ${height} ${width}`;
    if (this.#table && key === this.#key) return this.#table;
    this.dispose();
    this.#table = this.#make(grid);
    this.#key = key;
    return this.#table;
  }

  dispose(): void {
    this.#table?.dispose();
    this.#table = undefined;
  }
}

import type { AttentionDtype } from '../elements.ts';
import type { EntryNames, PositionVariant, QueryNames } from '../positions.ts';

/** Everything that shapes the WGSL of a gradient kernel. */
export interface GradientVariant extends PositionVariant {
  /** Whose gradients a workgroup sums up: those of query rows (dQ) or of key rows (dK, dV). */
  readonly own: 'queries' | 'keys';
  /**
   * How rows are laid over invocations. `tiles`: squares of own and streamed rows, for every device. The others are for subgroups of eight, the vector width
   * of software adapters. `subgroup`: eight invocations along the head size. `subgroupRows`: each owns rows, whole.
   */
  readonly layout: 'tiles' | 'subgroup' | 'subgroupRows';
  /** Own rows of a workgroup, and of one invocation. */
  readonly ownRows: number;
  readonly rowsPerLane: number;
  /** Quads of a gradient row that an invocation sums: all of them where it owns rows whole. */
  readonly cells: number;
  /** Head size where it is no multiple of four, else 0. */
  readonly raggedHeadSize: number;
  readonly queryDtype: AttentionDtype;
  readonly keyDtype: AttentionDtype;
  /** Queries, keys and values, gradients are bound as vec4. */
  readonly queryVector: boolean;
  readonly keyVector: boolean;
  readonly gradientVector: boolean;
  /** Scores pass through `modified_score`, or where `sloped` through `score_and_slope`. */
  readonly scored: boolean;
  readonly sloped: boolean;
  /** Factors per key act before or after the normalisation. */
  readonly multipliers: 'none' | 'before' | 'after';
  /** Of own keys: some come from the range; whether a tile of queries may list rows of the workgroup, as WGSL. */
  readonly ranged: boolean;
  readonly listedTile: string;
  /** Adds the streamed rows that it loads to a counter. */
  readonly counting: boolean;
  readonly functions: string;
  readonly numbers: string;
  readonly [field: string]: string | number | boolean;
}

/** Streamed rows of a tile: what is passed over at once. */
export const streamedRows = 32;

/**
 * Rows of one kind in the kernel's text. Row `_i` starts at `<first>_at_i` and `<second>_at_i` of its two inputs: the one that
 * scores are made of (queries, keys), and the one that gradients of probabilities are made of (dO, values).
 */
export interface GradientRows {
  readonly first: 'query' | 'key';
  readonly second: 'gradient' | 'value';
}

/** How a kernel goes over its pairs, as WGSL. */
export interface GradientWalk {
  readonly own: GradientRows;
  readonly streamed: GradientRows;
  /** Where the workgroup and the invocation's own rows stand. */
  readonly place: string;
  /** Opens the loops over tiles, which begin at `tile` and have `count` rows. */
  readonly open: string;
  readonly close: string;
  /** Declares streamed row `j`, which stands at `offset` in the tile; past the end, the last one. `row`: where it is known already. */
  readonly stream: (j: number, offset: string, row?: string) => string;
  /** The stored row at an offset in the tile, where that has to be looked up in lists. */
  readonly lookup?: (offset: string) => string;
  /** Where streamed row `index` of the tile starts in the input of that kind. */
  readonly streamedAt: (kind: 'first' | 'second', index: string) => string;
  /** Query and key of own row `i` and streamed row `j`. */
  readonly pair: (
    i: number,
    j: number,
  ) => { readonly query: QueryNames; readonly key: EntryNames; readonly row: string };
  /** Whether own row `i` exists, and its index in the result. */
  readonly exists: (i: number) => string;
  readonly resultRow: (i: number) => string;
}

import type { Capabilities } from '../device/capabilities.ts';
import type { AttentionDtype, RowDtype } from './elements.ts';
import type { EntryNames, PositionVariant } from './positions.ts';
import type { KeyAccess, LaneLayout } from './types.ts';

/** Everything that shapes the WGSL of the tile loop. */
export interface TileLoopVariant extends PositionVariant {
  readonly layout: LaneLayout;
  readonly access: KeyAccess;
  readonly headSize: number;
  readonly queryDtype: AttentionDtype;
  readonly keyDtype: RowDtype;
  /** Keys and values are bound as vec4. */
  readonly vector: boolean;
  /** Query rows that share the loaded keys in the layout `features`. */
  readonly sharedRows: number;
  /** Writes log-sum-exp and row maximum. */
  readonly statistics: boolean;
  /** Adds the key rows that it loads to a counter. */
  readonly counting: boolean;
  /** Scores pass through `modified_score`; a sink logit takes part in the normalisation. */
  readonly scored: boolean;
  readonly sinks: boolean;
  /** Whether factors on probabilities act before or after the normalisation. */
  readonly multipliers: 'none' | 'before' | 'after';
  /** Rows are normalised by given log-sum-exps. */
  readonly normalizer: boolean;
  /** Module-scope WGSL of the call's mask and score modifiers. */
  readonly functions: string;
  /** Their scalars: `name:type`, separated by commas. */
  readonly numbers: string;
  readonly [field: string]: string | number | boolean;
}

/** One score that an invocation holds during a tile: variable name, and its entry's variables. */
export interface ScoreSlot extends EntryNames {
  readonly score: string;
}

/** A row whose softmax state (`maximum<suffix>`, `sum<suffix>`) each invocation keeps. */
export interface RowState {
  readonly suffix: string;
  /** Index of the query, in [0, N), as WGSL. */
  readonly query: string;
  /** Index of the query head, as WGSL. */
  readonly head: string;
  /** Whether the row exists, as WGSL; false for padding of the last tile. */
  readonly exists: string;
  readonly slots: readonly ScoreSlot[];
}

/**
 * How a tile's work is laid over the invocations of a workgroup. A layout supplies the loads and the sums; which keys,
 * which mask, the online softmax and the outputs are the loop's, the same for every layout.
 */
export interface Layout {
  readonly workgroupSize: number;
  /** Entries per tile. */
  readonly tile: number;
  readonly declarations: string;
  /** Declares `batch`, `head` (that picks list and key/value head), `kv_head`, `first_query`, `last_query`, `part`. */
  readonly place: string;
  readonly rows: readonly RowState[];
  /** Before the loop: loads queries, zeroes accumulators. */
  readonly prepare: string;
  /** Raw scores of the tile's slots; declares each slot's variables. */
  readonly scores: string;
  /** Statement(s) that make each `tile_maximum<suffix>` the maximum over the whole tile. Empty where it already is. */
  readonly reduceMaximum: string;
  /**
   * Scales each row's accumulator with `correction<suffix>`, under a condition that all invocations of a subgroup share. A layout that has it raises
   * maxima seldom.
   */
  readonly rescale?: string;
  /**
   * Adds the tile's weighted values to each row's accumulator; without `rescale`, scales it with `correction<suffix>` before. Slots hold
   * weights now.
   */
  readonly accumulate: string;
  /** After the loop: makes each `sum<suffix>` the whole sum, and `weight<suffix>` its inverse known. */
  readonly reduceSum: string;
  /** Writes `accumulator * inverse<suffix>` at `output_row<suffix>` (element index); guards rows that do not exist. */
  readonly write: string;
  /** Condition under which this invocation stands for a row: of its invocations, this one writes the statistics. */
  readonly leads: string;
}

export type LayoutBuilder = (variant: TileLoopVariant, capabilities: Capabilities) => Layout;

import { ArgumentError, concatenate, contiguous, ShapeError, type Tensor } from '@saccade/core';
import type { GatedSizes } from './gate.ts';
import type { ResolvedGatedAttentionOptions } from './options.ts';

/**
 * How a checkpoint holds the gate. `grouped`: in the query projection, for each key/value group the rows of its queries and
 * then those of their gates (the paper's checkpoints); `perHead`: likewise for each head; `separate`: as a matrix of its own.
 */
export type GateLayout = 'grouped' | 'perHead' | 'separate';

/** What decides the rows of a query projection that holds the gate too. */
export interface GatedProjection extends Omit<GatedSizes, 'hiddenSize'> {
  readonly granularity: ResolvedGatedAttentionOptions['granularity'];
  readonly layout: Exclude<GateLayout, 'separate'>;
}

/** Queries and gates apart. */
export interface QueryAndGate {
  /** [H D, ...] */
  readonly query: Tensor;
  /** [H D, ...] elementwise, [H, ...] headwise */
  readonly gate: Tensor;
}

/** Groups of rows that alternate, and the rows of query and gate in one group. */
function rowsOf({ heads, kvHeads, headSize, granularity, layout }: GatedProjection) {
  if (layout !== 'grouped' && layout !== 'perHead') {
    throw new ArgumentError('gated query projection: layout', layout, "'grouped', 'perHead'");
  }
  if (granularity !== 'elementwise' && granularity !== 'headwise') {
    throw new ArgumentError('gated query projection: granularity', granularity, "'elementwise', 'headwise'");
  }
  if (heads % kvHeads !== 0) {
    throw new ArgumentError('gated query projection: kvHeads', kvHeads, `a divisor of ${heads} heads`);
  }
  const groups = layout === 'grouped' ? kvHeads : heads;
  const inGroup = heads / groups;
  return { groups, query: inGroup * headSize, gate: inGroup * (granularity === 'elementwise' ? headSize : 1) };
}

/**
 * Splits the weight or the bias of a fused query projection.
 *
 * @param fused [rows, E] or [rows], of any plain dtype: 2 H D rows elementwise, H D + H headwise
 * @throws ShapeError for another number of rows; ArgumentError for sizes that do not fit together
 */
export function splitGatedQueryProjection(fused: Tensor, projection: GatedProjection): QueryAndGate {
  const { groups, query, gate } = rowsOf(projection);
  const rows = groups * (query + gate);
  if ((fused.rank !== 1 && fused.rank !== 2) || fused.shape[0] !== rows) {
    throw new ShapeError(
      'splitGatedQueryProjection',
      `the projection is [${fused.shape}]; ${projection.granularity} gates of ${projection.heads} heads of ${projection.headSize} need ${rows} rows.`,
    );
  }
  const rest = fused.shape.slice(1);
  return fused.gpu.tidy(() => {
    const grouped = contiguous(fused).reshape([groups, query + gate, ...rest]);
    const part = (start: number, end: number) =>
      contiguous(grouped.slice(1, start, end)).reshape([groups * (end - start), ...rest]);
    return { query: part(0, query), gate: part(query, query + gate) };
  });
}

/**
 * The opposite of {@link splitGatedQueryProjection}: one matrix, or bias, as a checkpoint of that layout has it.
 *
 * @throws ShapeError where rows do not fit the sizes
 */
export function joinGatedQueryProjection({ query, gate }: QueryAndGate, projection: GatedProjection): Tensor {
  const rows = rowsOf(projection);
  for (const [name, tensor, count] of [
    ['query', query, rows.groups * rows.query],
    ['gate', gate, rows.groups * rows.gate],
  ] as const) {
    if (tensor.shape[0] !== count || tensor.rank !== query.rank) {
      throw new ShapeError('joinGatedQueryProjection', `${name} is [${tensor.shape}]; it needs ${count} rows.`);
    }
  }
  const rest = query.shape.slice(1);
  return query.gpu.tidy(() => {
    const parts = [
      contiguous(query).reshape([rows.groups, rows.query, ...rest]),
      contiguous(gate).reshape([rows.groups, rows.gate, ...rest]),
    ];
    return concatenate(parts, 1).reshape([rows.groups * (rows.query + rows.gate), ...rest]);
  });
}

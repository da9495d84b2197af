import { type SideInputVariant, sideLoad } from './side-inputs.ts';

/**
 * Where to look: which key rows a tile of entries stands for, and which of them a query may see.
 *
 * The loop runs over *entries*. An entry stands for a stored key *row* of the head: in a dense or windowed range the row is
 * the entry, in a token list the list says which. A row holds the key of a sequence *position*: the same number, unless
 * `keyPositions` says otherwise. Rows are what is loaded, positions are what predicates compare. Further key sources and
 * predicates are added here, as WGSL text.
 */

/** The parts of a variant that decide where to look. */
export interface PositionVariant extends SideInputVariant {
  readonly causal: boolean;
  readonly window: boolean;
  /** Where the number of valid keys stands: one on the host, or on the device per batch entry or key/value head. */
  readonly keyLengths: 'bound' | 'batch' | 'kvHead';
  /** Query lengths stand on the device. */
  readonly queryLengths: boolean;
  /** Positions of the first queries stand on the device. */
  readonly queryOffsets: boolean;
  /** Rows are not in the order of positions. */
  readonly keyPositions: boolean;
  /** Keys and values of all heads stand one behind the other. */
  readonly ragged: boolean;
  readonly list: boolean;
  /** Counts of the token lists stand on the device. */
  readonly listCounts: boolean;
}

/**
 * Declares `key_length`, `query_length` and `first_position` (of query 0) of batch entry `batch` and key/value head
 * `kv_head`.
 */
export function lengths(variant: PositionVariant): string {
  const { keyLengths, queryLengths, queryOffsets, keyPositions, ragged } = variant;
  const lines: string[] = [];
  if (keyLengths === 'kvHead' || keyPositions || ragged) {
    lines.push('let kv_row = batch * (params.heads / params.heads_per_kv) + kv_head;');
  }
  const lengthIndex = keyLengths === 'batch' ? 'batch' : 'kv_row';
  const key =
    keyLengths === 'bound' ? 'params.keys' : `min(${sideLoad(variant, 'key_lengths', lengthIndex)}, params.keys)`;
  const query = queryLengths
    ? `min(${sideLoad(variant, 'query_lengths', 'batch')}, params.queries)`
    : 'params.query_bound';
  const first = queryOffsets
    ? `bitcast<i32>(${sideLoad(variant, 'query_offsets', 'batch')})`
    : 'select(i32(key_length) - i32(query_length), params.query_offset, params.query_offset_given != 0u)';
  lines.push(`let key_length = ${key};`, `let query_length = ${query};`, `let first_position = ${first};`);
  if (ragged) lines.push(`let first_key_row = ${sideLoad(variant, 'key_starts', 'kv_row')};`);
  if (keyPositions) lines.push(`let position_base = ${ragged ? 'first_key_row' : 'kv_row * params.key_capacity'};`);
  return `
  ${lines.join('\n  ')}`;
}

/** Declares `key_base` or `value_base`: the element where the rows of the workgroup's key/value head start. */
export function storageBase(variant: PositionVariant, name: 'key' | 'value'): string {
  const base = variant.ragged
    ? `params.${name}_start + first_key_row * params.${name}_row`
    : `params.${name}_start + batch * params.${name}_batch + kv_head * params.${name}_head`;
  return `
  let ${name}_base = ${base};`;
}

/**
 * Declares `begin` and `end`: the entries that at least one of the queries [first_query, last_query] may see.
 * `list_head` is the head whose list counts.
 */
export function entryRange(variant: PositionVariant): string {
  if (variant.list) {
    const count = variant.listCounts
      ? `min(${sideLoad(variant, 'list_counts', 'list_row')}, params.list_length)`
      : 'params.list_count';
    return `
  let list_row = batch * params.list_heads + head / params.list_share;
  let list_base = list_row * params.list_length;
  let begin = 0u;
  let end = select(${count}, 0u, key_length == 0u);`;
  }
  // Rows that are not in the order of positions can stand anywhere.
  const [causal, window] = [variant.causal && !variant.keyPositions, variant.window && !variant.keyPositions];
  const lower = window ? 'u32(clamp(first_position + i32(first_query) - params.window + 1, 0, i32(key_length)))' : '0u';
  const upper = causal ? 'u32(clamp(first_position + i32(last_query) + 1, 0, i32(key_length)))' : 'key_length';
  return `
  let begin = ${lower};
  let end = ${upper};`;
}

/** Row that an entry stands for. Entries past the end repeat the last one. */
export function entryRow(variant: PositionVariant, entry: string): string {
  const clamped = `min(${entry}, part_end - 1u)`;
  return variant.list ? sideLoad(variant, 'list', `list_base + ${clamped}`) : clamped;
}

/** Row that is loaded: for list entries past the valid keys, which get weight zero, the last valid one. */
export function loadRow(variant: PositionVariant, row: string): string {
  return variant.list ? `min(${row}, key_length - 1u)` : row;
}

/** Sequence position of the key in a row. */
export function keyPosition(variant: PositionVariant, row: string): string {
  if (!variant.keyPositions) return row;
  return sideLoad(variant, 'key_positions', `position_base + ${loadRow(variant, row)}`);
}

/** Declares the interval of positions `[lower, upper)` that a query sees; empty for queries past the query length. */
export function rowInterval(variant: PositionVariant, query: string, suffix: string): string {
  const behind = `first_position + i32(${query}) + 1`;
  const bounded = variant.keyPositions ? `u32(max(${behind}, 0))` : `u32(clamp(${behind}, 0, i32(key_length)))`;
  const upper = variant.causal ? bounded : 'key_length';
  const lower = variant.window ? `u32(max(first_position + i32(${query}) - params.window + 1, 0))` : '0u';
  return `
  let upper${suffix} = select(0u, ${upper}, ${query} < query_length);
  let lower${suffix} = ${lower};`;
}

/** Variables of one entry, as WGSL names or expressions. */
export interface EntryNames {
  readonly entry: string;
  readonly row: string;
  readonly position: string;
}

/** Whether the query with the interval of `suffix` sees an entry. */
export function visible(variant: PositionVariant, { entry, row, position }: EntryNames, suffix: string): string {
  const terms = [`${entry} < part_end`];
  if (variant.keyPositions) {
    if (variant.list) terms.push(`${row} < key_length`);
    terms.push(variant.causal ? `${position} < upper${suffix}` : `upper${suffix} > 0u`);
  } else if (variant.list || variant.causal || variant.queryLengths) terms.push(`${position} < upper${suffix}`);
  else terms.push(`upper${suffix} > 0u`);
  if (variant.window) terms.push(`${position} >= lower${suffix}`);
  return terms.join(' && ');
}

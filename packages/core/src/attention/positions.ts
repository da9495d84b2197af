/**
 * Where to look: which key positions a tile of entries stands for, and which of them a row may see.
 *
 * The loop runs over *entries*. In a dense or windowed range, entry and position are the same; in a token list, the
 * list says which position an entry stands for. Further key sources and predicates are added here, as WGSL text.
 */

/** The parts of a variant that decide where to look. */
export interface PositionVariant {
  readonly causal: boolean;
  readonly window: boolean;
  /** Key lengths stand on the device. */
  readonly keyLengths: boolean;
  readonly queryLengths: boolean;
  readonly list: boolean;
  /** Counts of the token lists stand on the device. */
  readonly listCounts: boolean;
}

/** Declares `key_length`, `query_length` and `first_position` (of query 0) of batch entry `batch`. */
export function lengths(variant: PositionVariant): string {
  const key = variant.keyLengths ? 'min(key_lengths[batch], params.keys)' : 'params.keys';
  const query = variant.queryLengths ? 'min(query_lengths[batch], params.queries)' : 'params.query_bound';
  return `
  let key_length = ${key};
  let query_length = ${query};
  let first_position = select(i32(key_length) - i32(query_length), params.query_offset, params.query_offset_given != 0u);`;
}

/**
 * Declares `begin` and `end`: the entries that at least one of the queries [first_query, last_query] may see.
 * `list_head` is the head whose list counts.
 */
export function entryRange(variant: PositionVariant): string {
  if (variant.list) {
    const count = variant.listCounts ? 'min(list_counts[list_row], params.list_length)' : 'params.list_count';
    return `
  let list_row = batch * params.list_heads + head / params.list_share;
  let list_base = list_row * params.list_length;
  let begin = 0u;
  let end = select(${count}, 0u, key_length == 0u);`;
  }
  const lower = variant.window
    ? 'u32(clamp(first_position + i32(first_query) - params.window + 1, 0, i32(key_length)))'
    : '0u';
  const upper = variant.causal ? 'u32(clamp(first_position + i32(last_query) + 1, 0, i32(key_length)))' : 'key_length';
  return `
  let begin = ${lower};
  let end = ${upper};`;
}

/** Position that an entry stands for. Entries past the end repeat the last one. */
export function entryPosition(variant: PositionVariant, entry: string): string {
  const clamped = `min(${entry}, part_end - 1u)`;
  return variant.list ? `list[list_base + ${clamped}]` : clamped;
}

/** Position whose rows are loaded: list entries past the valid keys, which get weight zero, load the last valid key. */
export function loadPosition(variant: PositionVariant, position: string): string {
  return variant.list ? `min(${position}, key_length - 1u)` : position;
}

/** Declares the interval of positions `[lower, upper)` that a row sees; empty for rows past the query length. */
export function rowInterval(variant: PositionVariant, query: string, suffix: string): string {
  const upper = variant.causal ? `u32(clamp(first_position + i32(${query}) + 1, 0, i32(key_length)))` : 'key_length';
  const lower = variant.window ? `u32(max(first_position + i32(${query}) - params.window + 1, 0))` : '0u';
  return `
  let upper${suffix} = select(0u, ${upper}, ${query} < query_length);
  let lower${suffix} = ${lower};`;
}

/** Whether the row with the interval of `suffix` sees an entry. */
export function visible(variant: PositionVariant, entry: string, position: string, suffix: string): string {
  const terms = [`${entry} < part_end`];
  if (variant.list || variant.causal || variant.queryLengths) terms.push(`${position} < upper${suffix}`);
  else terms.push(`upper${suffix} > 0u`);
  if (variant.window) terms.push(`${position} >= lower${suffix}`);
  return terms.join(' && ');
}

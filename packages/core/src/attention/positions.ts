import { type SideInputVariant, sideLoad } from './side-inputs.ts';

/**
 * Where to look: which key rows a tile of entries stands for, and which of them a query may see.
 *
 * The loop runs over *entries*. An entry stands for a stored key *row* of the head, by its source: in a range of rows the
 * row is the entry, in a token list the list says which, in a block list the list says which block. A call may have one
 * source of each kind; their entries stand one behind the other, lists before blocks before the range. A row holds the
 * key of a sequence *position*: the same number, unless `keyPositions` says otherwise. Rows are what is loaded, positions
 * are what predicates compare.
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
  /** Sources of keys: token lists, block lists, all rows. */
  readonly list: boolean;
  readonly blocks: boolean;
  readonly range: boolean;
  /** Counts of the lists stand on the device. */
  readonly listCounts: boolean;
  readonly blockCounts: boolean;
  /** Where the numbers of full blocks, whose keys the predicate lets all see, stand. */
  readonly fullBlocks: 'none' | 'host' | 'device';
  /** Blocks of a block list have a power of two of keys: a division per key is dear on CPUs. */
  readonly blockShift: boolean;
  /** Token lists differ between query blocks. */
  readonly listQueries: boolean;
  /** A workgroup's queries lie in one query block. */
  readonly queryBlocks: boolean;
  /** Predicates of the sources, as WGSL in the names of `entryFunctions`; empty where all keys of the source count. */
  readonly listSees: string;
  readonly blocksSees: string;
  readonly rangeSees: string;
  /** Positions of queries and of keys stand for rows that a table names. */
  readonly queryRows: boolean;
  readonly keyRows: boolean;
  /** Parts of the keys are key sets: ranges of a sorted order of all rows, or entries of lists that are compared. */
  readonly keySets: 'none' | 'sorted' | 'compared';
  /** Sets differ between key/value heads. */
  readonly keySetsPerHead: boolean;
  /** Bounds on positions of the range, as WGSL; empty where nothing is known. */
  readonly rangeBegin: string;
  readonly rangeEnd: string;
}

/** The variant of the plainest call: all rows, no predicate. */
export const everyKey = {
  causal: false,
  window: false,
  keyLengths: 'bound',
  queryLengths: false,
  queryOffsets: false,
  keyPositions: false,
  ragged: false,
  list: false,
  blocks: false,
  range: true,
  listCounts: false,
  blockCounts: false,
  fullBlocks: 'none',
  blockShift: false,
  listQueries: false,
  queryBlocks: false,
  listSees: '',
  blocksSees: '',
  rangeSees: '',
  queryRows: false,
  keyRows: false,
  keySets: 'none',
  keySetsPerHead: false,
  rangeBegin: '',
  rangeEnd: '',
} as const satisfies Omit<PositionVariant, keyof SideInputVariant>;

/** Whether an entry's row is looked up rather than counted. */
export function gathered({ list, blocks }: PositionVariant): boolean {
  return list || blocks;
}

/** Whether the row to load is another number than the entry. */
export function lookedUp(variant: PositionVariant): boolean {
  return gathered(variant) || variant.keyRows;
}

/** Whether keys come from more than one source. */
function united({ list, blocks, range }: PositionVariant): boolean {
  return Number(list) + Number(blocks) + Number(range) > 1;
}

/**
 * Declares `key_length`, `query_length` and `first_position` (of query 0) of batch entry `batch` and key/value head
 * `kv_head`.
 */
export function lengths(variant: PositionVariant): string {
  const { keyLengths, queryLengths, queryOffsets, keyPositions, ragged } = variant;
  const lines: string[] = [];
  if (keyLengths === 'kvHead' || keyPositions || ragged || variant.keySetsPerHead) {
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

/** Declares where the workgroup's token list starts and, as `list_end`, how many entries it has. */
function listPlace(variant: PositionVariant): string {
  const head = 'batch * params.list_heads + head / params.list_share';
  const row = variant.listQueries ? `(${head}) * params.list_rows + first_query / params.list_queries` : head;
  const count = variant.listCounts
    ? `min(${sideLoad(variant, 'list_counts', 'list_row')}, params.list_length)`
    : 'params.list_count';
  return `
  let list_row = ${row};
  let list_base = list_row * params.list_length;
  let list_end = ${count};`;
}

/** As {@link listPlace} for the block list, whose entries end at `blocks_end`. */
function blocksPlace(variant: PositionVariant): string {
  const count = variant.blockCounts
    ? `min(${sideLoad(variant, 'block_counts', 'blocks_row')}, params.blocks_length)`
    : 'params.blocks_count';
  const head = 'batch * params.blocks_heads + head / params.blocks_share';
  const full =
    variant.fullBlocks === 'device' ? sideLoad(variant, 'blocks_full', 'blocks_row') : 'params.blocks_full_count';
  return `
  let blocks_row = (${head}) * params.blocks_rows + first_query / params.blocks_queries;
  let blocks_base = blocks_row * params.blocks_length;
  let blocks_held = ${count};
  let blocks_end = ${variant.list ? 'list_end + ' : ''}blocks_held * params.key_block;${
    variant.fullBlocks === 'none'
      ? ''
      : `
  let full_end = ${full} * params.key_block;`
  }`;
}

/** The rows [begin, end) that at least one of the queries [first_query, last_query] may see. */
function rangeBounds(variant: PositionVariant): { place: string; begin: string; end: string } {
  // Rows that are not in the order of positions can stand anywhere.
  if (variant.keyPositions) return { place: '', begin: '0u', end: 'key_length' };
  const begins = [
    ...(variant.window ? ['first_position + i32(first_query) - params.window + 1'] : []),
    ...(variant.rangeBegin ? [variant.rangeBegin] : []),
  ];
  const ends = [
    ...(variant.causal ? ['first_position + i32(last_query) + 1'] : []),
    ...(variant.rangeEnd ? [variant.rangeEnd] : []),
  ];
  const row = (position: string) => `u32(clamp(${position}, 0, i32(key_length)))`;
  return {
    place:
      variant.rangeBegin || variant.rangeEnd
        ? `
  let first_query_position = first_position + i32(first_query);
  let last_query_position = first_position + i32(last_query);`
        : '',
    begin: begins.length === 0 ? '0u' : row(begins.reduce((all, bound) => `max(${all}, ${bound})`)),
    end: ends.length === 0 ? 'key_length' : row(ends.reduce((all, bound) => `min(${all}, ${bound})`)),
  };
}

/**
 * Declares the entries of set `part`: of the rows in the order of their sets, those with its id, and of them those that the
 * workgroup's queries may see.
 */
function setRange(variant: PositionVariant): string {
  const { place, begin, end } = rangeBounds(variant);
  return `${place}
  let list_base = ${setPlace(variant)};
  let set_begin = set_bound(list_base, part);
  let set_end = set_bound(list_base, part + 1u);
  let begin = row_bound(list_base, set_begin, set_end, ${begin});
  let end = max(row_bound(list_base, set_begin, set_end, ${end}), begin);`;
}

/** Where the rows of the workgroup's sets begin. */
function setPlace({ keySetsPerHead }: PositionVariant): string {
  return `${keySetsPerHead ? 'kv_row' : 'batch'} * params.sets_keys`;
}

/** Declares the searches of {@link setRange}. */
function setFunctions(variant: PositionVariant): string {
  const search = (value: string, end: string) => `
  while (first < last) {
    let middle = (first + last) / 2u;
    if (${value} < ${end}) { first = middle + 1u; } else { last = middle; }
  }
  return first;`;
  return `
fn set_bound(base: u32, id: u32) -> u32 {
  var first = 0u;
  var last = params.sets_keys;${search('load_set_ids(base + middle)', 'id')}
}
fn row_bound(base: u32, begin: u32, end: u32, row: u32) -> u32 {
  var first = begin;
  var last = end;${search(sideLoad(variant, 'list', 'base + middle'), 'row')}
}`;
}

/** Declares `begin` and `end`: the entries that the workgroup goes over. */
export function entryRange(variant: PositionVariant): string {
  if (variant.keySets === 'sorted') return setRange(variant);
  const lists = `${variant.list ? listPlace(variant) : ''}${variant.blocks ? blocksPlace(variant) : ''}`;
  const listed = variant.blocks ? 'blocks_end' : 'list_end';
  const whole = (end: string) => `
  let begin = 0u;
  let end = select(${end}, 0u, key_length == 0u);`;
  if (!variant.range) return `${lists}${whole(listed)}`;
  const { place, begin, end } = rangeBounds(variant);
  if (!gathered(variant)) {
    return `${place}
  let begin = ${begin};
  let end = ${end};`;
  }
  return `${lists}${place}
  let range_begin = ${begin};
  let range_end = max(${end}, range_begin);${whole(`${listed} + range_end - range_begin`)}`;
}

/** Row that an entry stands for. Entries past the end repeat the last one. */
export function entryRow(variant: PositionVariant, entry: string): string {
  const clamped = `min(${entry}, part_end - 1u)`;
  if (!gathered(variant)) return clamped;
  const inList = (at: string) => sideLoad(variant, 'list', `list_base + ${at}`);
  const inBlocks = (at: string) => {
    const [index, within] = variant.blockShift
      ? [`(${at} >> params.key_block_shift)`, `(${at} & (params.key_block - 1u))`]
      : [`${at} / params.key_block`, `${at} % params.key_block`];
    return `(${sideLoad(variant, 'blocks', `blocks_base + ${index}`)} * params.key_block + ${within})`;
  };
  if (!united(variant)) return variant.list ? inList(clamped) : inBlocks(clamped);
  // Of the alternatives not taken, indices are out of range, where WGSL reads another element.
  const listed = variant.blocks ? 'blocks_end' : 'list_end';
  let row = variant.range ? `(range_begin + ${clamped} - ${listed})` : '';
  if (variant.blocks) {
    const own = inBlocks(variant.list ? `(${clamped} - list_end)` : clamped);
    row = row ? `select(${row}, ${own}, ${clamped} < blocks_end)` : own;
  }
  return variant.list ? `select(${row}, ${inList(clamped)}, ${clamped} < list_end)` : row;
}

/** Row that is loaded: for listed rows past the valid keys, which get weight zero, the last valid one; by its table, where the call has an order. */
export function loadRow(variant: PositionVariant, row: string): string {
  const valid = gathered(variant) ? `min(${row}, key_length - 1u)` : row;
  return variant.keyRows ? sideLoad(variant, 'key_rows', valid) : valid;
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

/** What predicates and score modifiers are called with. */
export const pairParameters = 'batch: u32, head: u32, query: u32, query_position: i32, key_position: i32';

/** Variables of one entry, as WGSL names or expressions. */
export interface EntryNames {
  readonly entry: string;
  readonly row: string;
  readonly position: string;
}

/** Variables of the query that looks at it; `suffix` is that of its interval. */
export interface QueryNames {
  readonly query: string;
  readonly head: string;
  readonly suffix: string;
}

/** Arguments for {@link pairParameters}. */
export function pairArguments({ position }: EntryNames, { head, query }: QueryNames): string {
  return `batch, ${head}, ${query}, first_position + i32(${query}), i32(${position})`;
}

/**
 * Declares the predicate of a call that has one, and what key sets need. In a union a key counts in one source only: in the range if its
 * predicate holds, else in a block that holds it, else in the token list.
 */
export function entryFunctions(variant: PositionVariant): string {
  return `${variant.keySets === 'sorted' ? setFunctions(variant) : ''}${predicateFunctions(variant)}`;
}

function predicateFunctions(variant: PositionVariant): string {
  const { list, blocks, range, listSees, blocksSees, rangeSees } = variant;
  const or = (sees: string) => sees || 'true';
  if (!united(variant)) {
    const sees = range ? rangeSees : blocks ? blocksSees : listSees;
    return sees === ''
      ? ''
      : `
fn entry_sees(${pairParameters}) -> bool {
  return ${sees};
}`;
  }
  const others = (sources: readonly string[]) => sources.map((source) => ` && !${source}`).join('');
  const inRange = range ? ['in_range'] : [];
  return `${
    list && blocks
      ? `
fn in_blocks(block: u32, base: u32, count: u32) -> bool {
  for (var at = 0u; at < count; at++) {
    if (${sideLoad(variant, 'blocks', 'base + at')} == block) { return true; }
  }
  return false;
}`
      : ''
  }
fn entry_sees(source: u32, in_block: bool, ${pairParameters}) -> bool {
  ${range ? `let in_range = ${or(rangeSees)};\n  if (source == 2u) { return in_range; }` : ''}
  ${blocks ? `let by_block = ${or(blocksSees)};\n  if (source == 1u) { return by_block${others(inRange)}; }` : ''}
  ${list ? `return ${or(listSees)}${others([...inRange, ...(blocks ? ['(in_block && by_block)'] : [])])};` : 'return false;'}
}`;
}

/** Whether a query sees an entry. */
export function visible(variant: PositionVariant, names: EntryNames, own: QueryNames): string {
  const { compared, looked } = visibleTerms(variant, names, own);
  return [...compared, ...looked].join(' && ');
}

/**
 * The same in parentheses, without branches around comparisons, for kernels that ask for many pairs at once: SwiftShader
 * takes ever longer to compile with every branch in a loop, and with 64 of them does not come to an end.
 */
export function visibleAtOnce(variant: PositionVariant, names: EntryNames, own: QueryNames): string {
  const { compared, looked } = visibleTerms(variant, names, own);
  const plain = `(${compared.map((term) => `(${term})`).join(' & ')})`;
  return looked.length === 0 ? plain : `(${[plain, ...looked].join(' && ')})`;
}

interface VisibleTerms {
  /** Of values at hand. */
  readonly compared: readonly string[];
  /** With loads or calls, which are worth a branch. */
  readonly looked: readonly string[];
}

function visibleTerms(variant: PositionVariant, names: EntryNames, own: QueryNames): VisibleTerms {
  const { entry, row, position } = names;
  const { suffix } = own;
  const compared = [`${entry} < part_end`];
  const looked: string[] = [];
  if (variant.keyPositions) {
    if (gathered(variant)) compared.push(`${row} < key_length`);
    compared.push(variant.causal ? `${position} < upper${suffix}` : `upper${suffix} > 0u`);
  } else if (gathered(variant) || variant.causal || variant.queryLengths) compared.push(`${position} < upper${suffix}`);
  else compared.push(`upper${suffix} > 0u`);
  if (variant.window) compared.push(`${position} >= lower${suffix}`);
  if (variant.keySets === 'compared') {
    looked.push(`load_set_ids(${setPlace(variant)} + ${loadRow(variant, row)}) == part`);
  }
  if (united(variant)) {
    const listed = variant.blocks ? `select(2u, 1u, ${entry} < blocks_end)` : '2u';
    const source = variant.list ? `select(${listed}, 0u, ${entry} < list_end)` : listed;
    const inBlock =
      variant.list && variant.blocks
        ? `${entry} < list_end && in_blocks(${row} / params.key_block, blocks_base, blocks_held)`
        : 'false';
    looked.push(`entry_sees(${source}, ${inBlock}, ${pairArguments(names, own)})`);
  } else if (variant.rangeSees || variant.blocksSees || variant.listSees) {
    const sees = `entry_sees(${pairArguments(names, own)})`;
    looked.push(variant.fullBlocks === 'none' ? sees : `(${entry} < full_end || ${sees})`);
  }
  return { compared, looked };
}

import { ArgumentError } from '../errors.ts';
import {
  gridElements,
  gridMathText,
  gridVector,
  mostGridRows,
  type TokenOrderText,
  tokenOfRowText,
  tokenOrderSizes,
} from '../ops/token-order.ts';
import type { CallParts } from './call-parts.ts';
import type { BlockedMask, NeighbourhoodMask, TokenGrid } from './mask.ts';
import type { PredicateText } from './mask-text.ts';

/** A token grid as WGSL. */
interface GridText {
  readonly rank: number;
  /** Sizes along the axes: one by one, and as a vector. */
  readonly sizes: readonly string[];
  readonly size: string;
  readonly start: string;
  /** Tokens of the grid. */
  readonly tokens: string;
  /** Tokens of one step along the first axis. */
  readonly rowTokens: string;
}

/** Keys in the query's own block. */
export function blockedText(mask: BlockedMask, id: string, parts: CallParts): PredicateText {
  checkSizes('block', mask.block, mask.grid);
  const grid = gridText(mask, id, parts);
  const { vectorOf } = numbersOf(id, parts, grid.rank);
  const block = vectorOf('block', mask.block);
  const own = (at: string) => `${id}_quotient(${id}_place(${at}, ${grid.size}), ${block})`;
  const [first] = gridElements(grid.rank, block) as [string];
  parts.define(`
fn ${id}(query_position: i32, key_position: i32) -> bool {
  let query_at = query_position - ${grid.start};
  let key_at = key_position - ${grid.start};
  if (min(query_at, key_at) < 0 || max(query_at, key_at) >= ${grid.tokens}) { return false; }
  return all(${own('query_at')} == ${own('key_at')});
}`);
  const blockRow = `(${first} * ${grid.rowTokens})`;
  const at = (position: string) => `clamp(${position} - ${grid.start}, 0, ${grid.tokens} - 1) / ${blockRow}`;
  return {
    sees: `${id}(query_position, key_position)`,
    begin: `${grid.start} + ${at('first_query_position')} * ${blockRow}`,
    end: `${grid.start} + (${at('last_query_position')} + 1) * ${blockRow}`,
  };
}

/** Numbers of a mask that have one entry per axis. */
function numbersOf(id: string, parts: CallParts, rank: number) {
  const namesOf = (name: string, values: readonly number[]) =>
    values.map((value, axis) => parts.number(`${id}_${name}${axis}`, 'i32', value));
  const vectorOf = (name: string, values: readonly number[]) =>
    `${gridVector(rank)}(${namesOf(name, values).join(', ')})`;
  return { vectorOf };
}

/** A vector that is part of the text: tiles are, so that divisions by them become shifts. */
const constantVector = (values: readonly number[]) => `${gridVector(values.length)}(${values.join(', ')})`;

/** Keys of the query's neighbourhood. */
export function neighbourhoodText(mask: NeighbourhoodMask, id: string, parts: CallParts): PredicateText {
  checkNeighbourhood(mask);
  const { window, stride, dilation, causal = [], tiles, others = 'hidden' } = mask;
  const grid = gridText(mask, id, parts);
  const { rank, size } = grid;
  const { vectorOf } = numbersOf(id, parts, rank);
  const names: WindowText = {
    ...{ id, rank, size },
    window: vectorOf('window', window),
    stride: stride ? vectorOf('stride', stride) : '',
    dilation: dilation ? vectorOf('dilation', dilation) : '',
    causal,
  };
  const places = (side: 'query' | 'key') => placeFunction(side, names, tiles?.[side]);
  const rows = (side: 'query' | 'key') =>
    tiles ? parts.number(`${id}_${side}_rows`, 'i32', orderOf(mask, side).gridRows) : grid.tokens;
  const seen = others === 'seen';
  const outside = seen
    ? `if (key_at < 0 || key_at >= ${rows('key')}) { return true; }
  if (query_at < 0 || query_at >= ${rows('query')}) { return ${tiles ? `all(other.inner < ${groupLength(names, 'other')})` : 'true'}; }`
    : `if (query_at < 0 || query_at >= ${rows('query')} || key_at < 0 || key_at >= ${rows('key')}) { return false; }`;
  const keyPlace = `let other = ${id}_key(key_at);`;
  parts.define(`
struct ${id}_token { inner: ${gridVector(rank)}, group: ${gridVector(rank)} }
${places('query')}
${places('key')}
fn ${id}(query_position: i32, key_position: i32) -> bool {
  let query_at = query_position - ${grid.start};
  let key_at = key_position - ${grid.start};
  ${keyPlace}
  ${outside}
  let own = ${id}_query(query_at);
  ${windowText(names)}
  return ${dilation ? 'all(own.group == other.group) && ' : ''}all(other.inner >= first) && all(other.inner < end);
}`);
  return {
    sees: `${id}(query_position, key_position)`,
    ...(tiles || seen ? {} : neighbourhoodBounds(mask, names, grid)),
  };
}

/** The windows of a mask as WGSL: vectors of i32, empty where it has none. */
interface WindowText {
  readonly id: string;
  readonly rank: number;
  readonly size: string;
  readonly window: string;
  readonly stride: string;
  readonly dilation: string;
  readonly causal: readonly boolean[];
}

/** Declares `<id>_query` or `<id>_key`: the place of the token in a row, counted from the grid's start. */
function placeFunction(side: 'query' | 'key', text: WindowText, tile: readonly number[] | undefined): string {
  const { id, size, dilation } = text;
  const ordered = (shape: readonly number[]): TokenOrderText => ({
    ...text,
    tile: constantVector(shape),
    tileTokens: String(shape.reduce((total, value) => total * value, 1)),
  });
  const body = tile
    ? tokenOfRowText(ordered(tile))
    : dilation === ''
      ? `let inner = ${id}_place(row, ${size});
  let group = ${gridVector(text.rank)}();`
      : `let place = ${id}_place(row, ${size});
  let inner = ${id}_quotient(place, ${dilation});
  let group = place - inner * ${dilation};`;
  return `fn ${id}_${side}(row: i32) -> ${id}_token {
  ${body}
  return ${id}_token(inner, group);
}`;
}

/** Lengths of the interleaved grid that a token stands in. */
function groupLength({ id, size, dilation }: WindowText, token: string): string {
  return dilation === '' ? size : `${id}_quotient(${size} - ${token}.group + ${dilation} - 1, ${dilation})`;
}

/** Statements that declare the window [`first`, `end`) of the token `own`, in places of its interleaved grid. */
function windowText(text: WindowText): string {
  const { id, rank, window, stride, causal } = text;
  const anyCausal = causal.includes(true);
  const flags = causal.length === 1 ? String(causal[0]) : `vec${rank}<bool>(${causal.join(', ')})`;
  const eitherWay = (open: string, ofCausal: string) => (anyCausal ? `select(${open}, ${ofCausal}, ${flags})` : open);
  const leader =
    stride === ''
      ? 'own.inner'
      : `min(${id}_quotient(own.inner, ${stride}) * ${stride} + ${eitherWay(`${stride} / 2`, `${stride} - 1`)}, length - 1)`;
  const none = `${gridVector(rank)}()`;
  return `let length = ${groupLength(text, 'own')};
  let leader = ${leader};
  let first = ${eitherWay(`clamp(leader - ${window} / 2, ${none}, length - ${window})`, `max(leader - ${window} + 1, ${none})`)};
  let end = ${eitherWay(`first + ${window}`, 'own.inner + 1')};`;
}

/** Bounds by the rows of the first axis. */
function neighbourhoodBounds(mask: NeighbourhoodMask, names: WindowText, grid: GridText): Omit<PredicateText, 'sees'> {
  const { stride, dilation, causal } = mask;
  const { rank } = names;
  const firstOf = (vector: string) => gridElements(rank, vector)[0] as string;
  const [window, strideNumber, step] = [firstOf(names.window), firstOf(names.stride), firstOf(names.dilation)];
  const size = grid.sizes[0] as string;
  const row = (position: string) => `(clamp(${position} - ${grid.start}, 0, ${grid.tokens} - 1) / ${grid.rowTokens})`;
  const [first, last] = [row('first_query_position'), row('last_query_position')];
  let begin: string;
  let end: string;
  if (dilation) {
    // A window reaches less than its own size and the stride's, in steps of the dilation, to either side.
    const reach = `(${window} - 1${stride ? ` + ${strideNumber} - 1` : ''}) * ${step}`;
    begin = `max(${first} - ${reach}, 0)`;
    end = `min(${last} + ${reach} + 1, ${size})`;
  } else {
    const offset = causal?.[0] ? `${strideNumber} - 1` : `${strideNumber} / 2`;
    const leader = (at: string) =>
      stride ? `min(${at} / ${strideNumber} * ${strideNumber} + ${offset}, ${size} - 1)` : at;
    const start = (at: string) =>
      causal?.[0]
        ? `max(${leader(at)} - ${window} + 1, 0)`
        : `clamp(${leader(at)} - ${window} / 2, 0, ${size} - ${window})`;
    begin = start(first);
    end = `(${start(last)} + ${window})`;
  }
  if (causal?.[0]) end = `(${last} + 1)`;
  return {
    begin: `${grid.start} + ${begin} * ${grid.rowTokens}`,
    end: `${grid.start} + ${end} * ${grid.rowTokens}`,
  };
}

/** The order in which queries or keys of a mask with tiles stand. */
export function orderOf({ grid, dilation, tiles }: NeighbourhoodMask, side: 'query' | 'key') {
  const tile = tiles?.[side] ?? [];
  return tokenOrderSizes(`attention: mask tiles of ${side === 'query' ? 'queries' : 'keys'}`, {
    ...{ grid, tile },
    ...(dilation ? { dilation } : {}),
  });
}

/** @throws ArgumentError for sizes that do not fit */
export function checkNeighbourhood(mask: NeighbourhoodMask): void {
  const { grid, window, stride, dilation, causal, tiles, others } = mask;
  checkGrid(grid);
  checkSizes('window', window, grid);
  if (stride) checkSizes('stride', stride, grid);
  if (dilation) checkSizes('dilation', dilation, grid);
  if (causal && (causal.length !== grid.length || causal.some((flag) => typeof flag !== 'boolean'))) {
    throw new ArgumentError('attention: mask causal', causal, `${grid.length} booleans`);
  }
  if (others !== undefined && others !== 'hidden' && others !== 'seen') {
    throw new ArgumentError('attention: mask others', others, "'hidden', 'seen'");
  }
  grid.forEach((size, axis) => {
    const most = Math.floor(size / (dilation?.[axis] ?? 1));
    if ((window[axis] as number) > most) {
      throw new ArgumentError('attention: neighbourhood window', window[axis], `at most ${most} on axis ${axis}`);
    }
  });
  if (!tiles) return;
  orderOf(mask, 'query');
  orderOf(mask, 'key');
}

function gridText({ grid, start = 0 }: TokenGrid, id: string, parts: CallParts): GridText {
  checkGrid(grid);
  const sizes = grid.map((size, axis) => parts.number(`${id}_size${axis}`, 'i32', size));
  const origin = parts.number(`${id}_start`, 'i32', start);
  parts.define(gridMathText(id, grid.length));
  const product = (values: readonly string[]) => (values.length > 0 ? `(${values.join(' * ')})` : '1');
  return {
    rank: grid.length,
    sizes,
    size: `${gridVector(grid.length)}(${sizes.join(', ')})`,
    start: origin,
    tokens: product(sizes),
    rowTokens: product(sizes.slice(1)),
  };
}

function checkGrid(grid: readonly number[]): void {
  if (grid.length < 1 || grid.length > 3) throw new ArgumentError('attention: mask grid', grid, '1 to 3 axes');
  checkSizes('grid', grid, grid);
  if (grid.reduce((total, size) => total * size, 1) > mostGridRows) {
    throw new ArgumentError('attention: mask grid', grid, `up to ${mostGridRows} tokens`);
  }
}

function checkSizes(name: string, sizes: readonly number[], grid: readonly number[]): void {
  const valid = sizes.length === grid.length && sizes.every((size) => Number.isInteger(size) && size >= 1);
  if (!valid) throw new ArgumentError(`attention: mask ${name}`, sizes, `${grid.length} positive integers`);
}

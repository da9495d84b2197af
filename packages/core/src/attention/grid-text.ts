import { ArgumentError } from '../errors.ts';
import type { CallParts } from './call-parts.ts';
import type { BlockedMask, NeighbourhoodMask, TokenGrid } from './mask.ts';
import type { PredicateText } from './mask-text.ts';

/** One axis of a token grid, as WGSL. */
interface GridAxis {
  readonly size: string;
  /** Coordinate of a position relative to the grid's start. */
  readonly coordinate: (relative: string) => string;
}

interface GridText {
  readonly axes: readonly GridAxis[];
  readonly start: string;
  /** Tokens of the grid. */
  readonly tokens: string;
  /** Tokens of one step along the first axis. */
  readonly rowTokens: string;
}

/** Keys of the query's own block. */
export function blockedText(mask: BlockedMask, id: string, parts: CallParts): PredicateText {
  checkSizes('block', mask.block, mask.grid);
  const grid = gridText(mask, id, parts);
  const blocks = mask.block.map((size, axis) => parts.number(`${id}_block${axis}`, 'i32', size));
  const same = grid.axes.map(
    ({ coordinate }, axis) =>
      `${coordinate('query_at')} / ${blocks[axis]} == ${coordinate('key_at')} / ${blocks[axis]}`,
  );
  defineGridPredicate(parts, id, grid, `return ${same.join(' && ')};`);
  const blockRow = `(${blocks[0]} * ${grid.rowTokens})`;
  const at = (position: string) => `clamp(${position} - ${grid.start}, 0, ${grid.tokens} - 1) / ${blockRow}`;
  return {
    sees: `${id}(query_position, key_position)`,
    begin: `${grid.start} + ${at('first_query_position')} * ${blockRow}`,
    end: `${grid.start} + (${at('last_query_position')} + 1) * ${blockRow}`,
  };
}

/** Keys of the query's neighbourhood. */
export function neighbourhoodText(mask: NeighbourhoodMask, id: string, parts: CallParts): PredicateText {
  const { window, stride, dilation } = mask;
  checkSizes('window', window, mask.grid);
  if (stride) checkSizes('stride', stride, mask.grid);
  if (dilation) checkSizes('dilation', dilation, mask.grid);
  if (stride && dilation) {
    throw new ArgumentError('attention: neighbourhood', 'stride and dilation', 'one of the two');
  }
  mask.grid.forEach((size, axis) => {
    const most = Math.floor(size / (dilation?.[axis] ?? 1));
    if ((window[axis] as number) > most) {
      throw new ArgumentError('attention: neighbourhood window', window[axis], `at most ${most} on axis ${axis}`);
    }
  });
  const grid = gridText(mask, id, parts);
  const numbers = (name: string, sizes: readonly number[]) =>
    sizes.map((size, axis) => parts.number(`${id}_${name}${axis}`, 'i32', size));
  const windows = numbers('window', window);
  const strides = stride ? numbers('stride', stride) : [];
  const steps = dilation ? numbers('dilation', dilation) : [];
  // First key of the window, in steps of the dilation.
  parts.define(`
fn ${id}_first(at: i32, size: i32, window: i32) -> i32 {
  return clamp(at - window / 2, 0, size - window);
}`);
  const leader = (axis: number, at: string) => {
    if (!stride) return at;
    const size = grid.axes[axis]?.size;
    return `min(${at} / ${strides[axis]} * ${strides[axis]} + ${strides[axis]} / 2, ${size} - 1)`;
  };
  const axes = grid.axes.map(({ size, coordinate }, axis) => {
    const opened = `{
    let own = ${coordinate('query_at')};
    let other = ${coordinate('key_at')};`;
    if (!dilation) {
      return `${opened}
    let start = ${id}_first(${leader(axis, 'own')}, ${size}, ${windows[axis]});
    seen = seen && other >= start && other < start + ${windows[axis]};
  }`;
    }
    const step = steps[axis];
    return `${opened}
    let residue = own % ${step};
    let start = ${id}_first(own / ${step}, (${size} - residue + ${step} - 1) / ${step}, ${windows[axis]});
    let other_step = other / ${step};
    seen = seen && other % ${step} == residue && other_step >= start && other_step < start + ${windows[axis]};
  }`;
  });
  defineGridPredicate(parts, id, grid, `var seen = true;\n  ${axes.join('\n  ')}\n  return seen;`);
  const size = grid.axes[0]?.size as string;
  const row = (position: string) => `(clamp(${position} - ${grid.start}, 0, ${grid.tokens} - 1) / ${grid.rowTokens})`;
  const [first, last] = [row('first_query_position'), row('last_query_position')];
  // A dilated window reaches at most (window - 1) steps to either side.
  const reach = `(${windows[0]} - 1) * ${steps[0]}`;
  const begin = dilation ? `max(${first} - ${reach}, 0)` : `${id}_first(${leader(0, first)}, ${size}, ${windows[0]})`;
  const end = dilation
    ? `min(${last} + ${reach} + 1, ${size})`
    : `(${id}_first(${leader(0, last)}, ${size}, ${windows[0]}) + ${windows[0]})`;
  return {
    sees: `${id}(query_position, key_position)`,
    begin: `${grid.start} + ${begin} * ${grid.rowTokens}`,
    end: `${grid.start} + ${end} * ${grid.rowTokens}`,
  };
}

function gridText({ grid, start = 0 }: TokenGrid, id: string, parts: CallParts): GridText {
  if (grid.length < 1 || grid.length > 3) throw new ArgumentError('attention: mask grid', grid, '1 to 3 axes');
  checkSizes('grid', grid, grid);
  const sizes = grid.map((size, axis) => parts.number(`${id}_size${axis}`, 'i32', size));
  const origin = parts.number(`${id}_start`, 'i32', start);
  const product = (values: readonly string[]) => (values.length > 0 ? `(${values.join(' * ')})` : '1');
  return {
    start: origin,
    tokens: product(sizes),
    rowTokens: product(sizes.slice(1)),
    axes: sizes.map((size, axis) => {
      const inner = product(sizes.slice(axis + 1));
      return {
        size,
        coordinate: (relative) => (axis === 0 ? `${relative} / ${inner}` : `(${relative} / ${inner}) % ${size}`),
      };
    }),
  };
}

/** Defines `id(query_position, key_position)`; `query_at` and `key_at`, relative to its start, are both inside the grid where `body` runs. */
function defineGridPredicate(parts: CallParts, id: string, grid: GridText, body: string): void {
  parts.define(`
fn ${id}(query_position: i32, key_position: i32) -> bool {
  let query_at = query_position - ${grid.start};
  let key_at = key_position - ${grid.start};
  if (min(query_at, key_at) < 0 || max(query_at, key_at) >= ${grid.tokens}) { return false; }
  ${body}
}`);
}

function checkSizes(name: string, sizes: readonly number[], grid: readonly number[]): void {
  const valid = sizes.length === grid.length && sizes.every((size) => Number.isInteger(size) && size >= 1);
  if (!valid) throw new ArgumentError(`attention: mask ${name}`, sizes, `${grid.length} positive integers`);
}

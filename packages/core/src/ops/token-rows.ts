import type { Gpu } from '../device/gpu.ts';
import { ArgumentError } from '../errors.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { type TokenOrder, tokenOrderSizes } from './token-order.ts';

export interface TokenRowsOptions {
  /** Tokens of the sequence, those beside the grid included. Default: the grid's and those before it. */
  readonly tokens?: number;
  /**
   * What stands for padding: a number that is no token (`none`, the default), as for queries, or the nearest token of the same tile (`repeat`), as for keys, which
   * must be some row: tiles that are not looked at then stay unread.
   */
  readonly padding?: 'none' | 'repeat';
}

/** The number of padding. */
const noToken = 2 ** 32 - 1;

/** Places in a box of these sizes, the last axis fastest; those of axes that are missing are 0. */
function placeOf(at: number, sizes: readonly number[]): number[] {
  const place = new Array<number>(sizes.length);
  let rest = at;
  for (let axis = sizes.length - 1; axis >= 0; axis--) {
    const size = sizes[axis] as number;
    place[axis] = rest % size;
    rest = Math.floor(rest / size);
  }
  return place;
}

/**
 * The token in each row of an order, for the `order` of `attention`: it then looks at tokens tile by tile where they are, and `tokenPermute` is not needed. Made
 * on the host; make it once per grid.
 *
 * @returns u32 [N'], N' = rows of the grid with padding + tokens beside the grid
 * @throws ArgumentError for an order that is none, too few tokens, another padding
 */
export function tokenRows(gpu: Gpu, order: TokenOrder, options: TokenRowsOptions = {}): Tensor {
  const { gridTokens, gridRows, tileTokens, tiles, dilation } = tokenOrderSizes('tokenRows', order);
  const { grid, tile, start = 0 } = order;
  const { tokens = start + gridTokens, padding = 'none' } = options;
  if (!Number.isInteger(tokens) || tokens < start + gridTokens) {
    throw new ArgumentError(
      'tokenRows: tokens',
      tokens,
      `an integer >= ${start + gridTokens}, the grid's and those before it`,
    );
  }
  if (padding !== 'none' && padding !== 'repeat')
    throw new ArgumentError('tokenRows: padding', padding, "'none', 'repeat'");
  const perGroup = tiles.reduce((total, count) => total * count, 1);
  const within = Array.from({ length: tileTokens }, (_, at) => placeOf(at, tile));
  const rows = new Uint32Array(gridRows + tokens - gridTokens);
  for (let number = 0; number < gridRows / tileTokens; number++) {
    const group = placeOf(Math.floor(number / perGroup), dilation);
    const own = placeOf(number % perGroup, tiles);
    within.forEach((place, at) => {
      let token = 0;
      let isToken = true;
      grid.forEach((size, axis) => {
        const [step, first] = [dilation[axis] as number, group[axis] as number];
        const inner = (own[axis] as number) * (tile[axis] as number) + (place[axis] as number);
        const last = Math.ceil((size - first) / step) - 1;
        isToken &&= inner <= last;
        token = token * size + Math.min(Math.max(Math.min(inner, last), 0) * step + first, size - 1);
      });
      rows[number * tileTokens + at] = isToken || padding === 'repeat' ? start + token : noToken;
    });
  }
  for (let other = 0; other < tokens - gridTokens; other++) {
    rows[gridRows + other] = other < start ? other : other + gridTokens;
  }
  return gpu.tensor(rows, [rows.length], 'u32');
}

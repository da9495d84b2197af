import type { BlockList, TokenList } from '../../attention/lists.ts';
import type { BlockedMask, Mask, MaskedPair, NeighbourhoodMask, TokenGrid } from '../../attention/mask.ts';

/** A mask whose tensors are row-major host arrays. */
export type HostMask = Mask<ArrayLike<number>>;

/** Sizes that row-major arrays of a mask are read by. */
export interface MaskReferenceSizes {
  readonly batches: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly queries: number;
}

/** Whether a mask lets a query see a key, by definition. `row` is the key's stored row, which lists name. */
export function maskReference(mask: HostMask, pair: MaskedPair, row: number, sizes: MaskReferenceSizes): boolean {
  const { batch, query, queryPosition, keyPosition } = pair;
  const again = (part: HostMask) => maskReference(part, pair, row, sizes);
  switch (mask.kind) {
    case 'causal':
      return keyPosition <= queryPosition;
    case 'slidingWindow': {
      const distance = keyPosition - queryPosition;
      return distance >= -mask.before && distance <= mask.after && distance % (mask.dilation ?? 1) === 0;
    }
    case 'strided':
      return keyPosition % mask.stride === (mask.offset ?? 0);
    case 'prefix':
      return keyPosition < (typeof mask.length === 'number' ? mask.length : (mask.length[batch] as number));
    case 'keyRange':
      return keyPosition >= mask.start && keyPosition < mask.end;
    case 'blocked':
      return inSameBlock(mask, queryPosition, keyPosition);
    case 'neighbourhood':
      return isNeighbour(mask, queryPosition, keyPosition);
    case 'tokenRelation': {
      const own = mask.queries[batch * sizes.queries + query] as number;
      const other = mask.keys[batch * (mask.keys.length / sizes.batches) + keyPosition] as number;
      const holds = { same: other === own, different: other !== own, earlier: other < own, notLater: other <= own };
      return holds[mask.relation];
    }
    case 'custom':
      if (!mask.reference) throw new Error('maskReference: a custom mask needs `reference`.');
      return mask.reference(pair);
    case 'tokens':
      return listOf(mask.list, pair, sizes).includes(row);
    case 'blocks':
      return listOf(mask.list, pair, sizes).includes(Math.floor(row / mask.list.keyBlock));
    case 'anyOf':
      return mask.parts.some(again);
    case 'allOf':
      return mask.parts.every(again);
    case 'not':
      return !again(mask.part);
  }
}

/** The valid entries of the list that a query of a head looks at. */
export function listOf(
  list: TokenList<ArrayLike<number>> | BlockList<ArrayLike<number>>,
  { batch, head, query }: MaskedPair,
  { batches, heads, kvHeads, queries }: MaskReferenceSizes,
): number[] {
  const { indices, counts, per, queryBlock } = list;
  const blocks = queryBlock === undefined ? 1 : Math.ceil(queries / queryBlock);
  const listHeads = per === 'kvHead' ? kvHeads : heads;
  const listRow = (batch * listHeads + Math.floor((head * listHeads) / heads)) * blocks;
  const at = listRow + (queryBlock === undefined ? 0 : Math.floor(query / queryBlock));
  const length = indices.length / (batches * listHeads * blocks);
  const count = counts === undefined ? length : typeof counts === 'number' ? counts : (counts[at] as number);
  return Array.from({ length: Math.min(count, length) }, (_, entry) => indices[at * length + entry] as number);
}

/** Coordinates of a position in a grid, or undefined outside of it. */
function coordinates({ grid, start = 0 }: TokenGrid, position: number): number[] | undefined {
  let rest = position - start;
  if (rest < 0 || rest >= grid.reduce((product, size) => product * size, 1)) return undefined;
  const found: number[] = [];
  for (const size of [...grid].reverse()) {
    found.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return found;
}

function inSameBlock(mask: BlockedMask, queryPosition: number, keyPosition: number): boolean {
  const [from, to] = [coordinates(mask, queryPosition), coordinates(mask, keyPosition)];
  if (!from || !to) return false;
  return mask.block.every(
    (size, axis) => Math.floor((from[axis] as number) / size) === Math.floor((to[axis] as number) / size),
  );
}

/** Coordinates of the token in each row of a grid that is ordered tile by tile; undefined in rows of padding. */
function tiledCoordinates(mask: NeighbourhoodMask, tile: readonly number[]): (number[] | undefined)[] {
  const steps = mask.dilation ?? mask.grid.map(() => 1);
  const tiles = mask.grid.map((size, axis) => Math.ceil(size / ((tile[axis] as number) * (steps[axis] as number))));
  const places = (sizes: readonly number[]): number[][] =>
    sizes.reduce<number[][]>(
      (all, size) => all.flatMap((place) => Array.from({ length: size }, (_, at) => [...place, at])),
      [[]],
    );
  return places(steps).flatMap((group) =>
    places(tiles).flatMap((tileAt) =>
      places(tile).map((within) => {
        const place = mask.grid.map((_, axis) => {
          const inner = (tileAt[axis] as number) * (tile[axis] as number) + (within[axis] as number);
          return inner * (steps[axis] as number) + (group[axis] as number);
        });
        return place.every((at, axis) => at < (mask.grid[axis] as number)) ? place : undefined;
      }),
    ),
  );
}

/** Orders by the mask that has them: pairs are asked about one by one. */
const ordersOf = new WeakMap<NeighbourhoodMask, Map<string, (number[] | undefined)[]>>();

/** The token at a position: its coordinates, `padding`, or `other` beside the grid. */
function tokenAt(mask: NeighbourhoodMask, position: number, tile: readonly number[] | undefined) {
  if (!tile) return coordinates(mask, position) ?? 'other';
  const orders = ordersOf.get(mask) ?? new Map();
  const rows: (number[] | undefined)[] = orders.get(String(tile)) ?? tiledCoordinates(mask, tile);
  ordersOf.set(mask, orders.set(String(tile), rows));
  const row = position - (mask.start ?? 0);
  return row < 0 || row >= rows.length ? 'other' : (rows[row] ?? 'padding');
}

function isNeighbour(mask: NeighbourhoodMask, queryPosition: number, keyPosition: number): boolean {
  const from = tokenAt(mask, queryPosition, mask.tiles?.query);
  const to = tokenAt(mask, keyPosition, mask.tiles?.key);
  if (to === 'padding') return false;
  if (from === 'other' || to === 'other') return mask.others === 'seen';
  // What queries of padding see does not matter: nobody reads their rows.
  if (from === 'padding') return false;
  return mask.grid.every((size, axis) => {
    const window = mask.window[axis] as number;
    const stride = mask.stride?.[axis] ?? 1;
    const dilation = mask.dilation?.[axis] ?? 1;
    const [own, other] = [from[axis] as number, to[axis] as number];
    // The coordinates that a query at `own` can reach, which of them leads its group, and which its window holds.
    const reachable = Array.from({ length: size }, (_, at) => at).filter((at) => at % dilation === own % dilation);
    const group = Math.floor(reachable.indexOf(own) / stride) * stride;
    if (mask.causal?.[axis]) {
      const leader = Math.min(group + stride - 1, reachable.length - 1);
      return reachable.slice(Math.max(leader - window + 1, 0), reachable.indexOf(own) + 1).includes(other);
    }
    const middle = Math.min(group + Math.floor(stride / 2), reachable.length - 1);
    const first = Math.min(Math.max(middle - Math.floor(window / 2), 0), reachable.length - window);
    return reachable.slice(first, first + window).includes(other);
  });
}

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

function isNeighbour(mask: NeighbourhoodMask, queryPosition: number, keyPosition: number): boolean {
  const [from, to] = [coordinates(mask, queryPosition), coordinates(mask, keyPosition)];
  if (!from || !to) return false;
  return mask.grid.every((size, axis) => {
    const window = mask.window[axis] as number;
    const stride = mask.stride?.[axis] ?? 1;
    const dilation = mask.dilation?.[axis] ?? 1;
    const own = from[axis] as number;
    const leader = Math.min(Math.floor(own / stride) * stride + Math.floor(stride / 2), size - 1);
    // The coordinates that a query at `leader` can reach, and which of them its window holds.
    const reachable = Array.from({ length: size }, (_, at) => at).filter((at) => at % dilation === leader % dilation);
    const middle = reachable.indexOf(leader);
    const first = Math.min(Math.max(middle - Math.floor(window / 2), 0), reachable.length - window);
    return reachable.slice(first, first + window).includes(to[axis] as number);
  });
}

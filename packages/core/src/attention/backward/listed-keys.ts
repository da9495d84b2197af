import { defineKernel } from '../../kernels/kernel.ts';
import { contiguous } from '../../ops/copy.ts';
import { Tensor } from '../../tensor/tensor.ts';
import type { CallParts } from '../call-parts.ts';
import type { AttentionShape } from '../check-inputs.ts';
import type { BlockList, TokenList } from '../lists.ts';
import type { MaskSources } from '../mask-sources.ts';
import { predicateText } from '../mask-text.ts';
import type { PositionVariant } from '../positions.ts';
import type { SideInputVariant } from '../side-inputs.ts';
import { listEntries, listPlaces, whereToLook } from '../where-to-look.ts';

/**
 * A list says which keys a query looks at. The kernel that owns keys asks the other way round, which queries look at a key;
 * so lists become bits there: one per (list, key) or, of block lists, per (list, block). That is 1/32 of a word for each
 * entry that a full list would have.
 */
interface ListBitsVariant {
  readonly counts: boolean;
  readonly [field: string]: string | number | boolean;
}

const lanes = 64;

/** Sets the bit of each entry. One invocation per entry; bits have no order, so the result reproduces. */
const listBits = defineKernel<ListBitsVariant>({
  name: 'attention.listBits',
  bindings: ({ counts }) => [
    { name: 'indices', type: 'array<u32>', access: 'read' },
    ...(counts ? [{ name: 'counts', type: 'array<u32>', access: 'read' } as const] : []),
    { name: 'bits', type: 'array<atomic<u32>>', access: 'read_write' },
  ],
  parameters: [
    ['entries', 'u32'],
    ['length', 'u32'],
    ['count', 'u32'],
    ['units', 'u32'],
    ['words', 'u32'],
  ],
  workgroupSize: () => lanes,
  source: ({ counts }) => ({
    main: `
  let entry = group * ${lanes}u + lane;
  if (entry >= params.entries) { return; }
  let row = entry / params.length;
  let unit = indices[entry];
  if (entry % params.length < ${counts ? 'counts[row]' : 'params.count'} && unit < params.units) {
    atomicOr(&bits[row * params.words + unit / 32u], 1u << (unit & 31u));
  }`,
  }),
});

/** u32 [lists, ceil(units / 32)], a unit being `unitRows` key rows. */
function bitsOf(list: TokenList | BlockList, unitRows: number, { keys }: AttentionShape): Tensor {
  const { gpu } = list.indices;
  const { length, count } = listEntries(list);
  const lists = length === 0 ? 0 : list.indices.size / length;
  const units = Math.ceil(keys / unitRows);
  const words = Math.ceil(units / 32);
  const bits = gpu.zeros([Math.max(lists, 1), words], 'u32');
  const counts = list.counts instanceof Tensor ? list.counts : undefined;
  gpu.launch(
    listBits,
    { counts: counts !== undefined },
    {
      bindings: [contiguous(list.indices), ...(counts ? [contiguous(counts)] : []), bits],
      parameters: [list.indices.size, length, count, units, words],
      workgroups: Math.ceil(list.indices.size / lanes),
      cost: { flops: 0, bytes: 8 * list.indices.size },
    },
  );
  return bits;
}

/**
 * Defines `<kind>_tile(batch, head, first_query, last_query, first_row, last_row)`, whether any pair of a tile may be listed, and
 * `<kind>_listed(query, row)` for pairs of the tile that this was last asked about.
 */
function defineListed(
  kind: 'tokens' | 'blocks',
  list: TokenList | BlockList,
  shape: AttentionShape,
  parts: CallParts,
): void {
  const unitRows = 'keyBlock' in list ? list.keyBlock : 1;
  const { share, heads, rows } = listPlaces(list, shape);
  const number = (name: string, value: number) => parts.number(`${kind}_${name}`, 'u32', value);
  const load = parts.input(`${kind}_bits`, bitsOf(list, unitRows, shape));
  const words = number('words', Math.ceil(Math.ceil(shape.keys / unitRows) / 32));
  const place = `(batch * ${number('heads', heads)} + head / ${number('share', share)}) * ${number('rows', rows)}`;
  const unitOf = divider(unitRows, (value) => number('unit', value));
  const { queryBlock } = list;
  const listOf = queryBlock === undefined ? () => '0u' : divider(queryBlock, (value) => number('queries', value));
  parts.define(`
// First list of the batch entry and head; set per tile, since a division per pair would cost as much as a product.
var<private> ${kind}_lists: u32;
fn ${kind}_listed(query: u32, row: u32) -> bool {
  let at = (${kind}_lists + ${listOf('query')}) * ${words};
  let unit = ${unitOf('row')};
  return ((${load}(at + unit / 32u) >> (unit & 31u)) & 1u) != 0u;
}
fn ${kind}_tile(batch: u32, head: u32, first_query: u32, last_query: u32, first_row: u32, last_row: u32) -> bool {
  let lists = ${place};
  ${kind}_lists = lists;
  let first = ${unitOf('first_row')};
  let last = ${unitOf('last_row')};
  for (var list = ${listOf('first_query')}; list <= ${listOf('last_query')}; list++) {
    for (var word = first / 32u; word <= last / 32u; word++) {
      let lowest = select(0u, first & 31u, word == first / 32u);
      let highest = select(31u, last & 31u, word == last / 32u);
      let wanted = (0xffffffffu << lowest) & (0xffffffffu >> (31u - highest));
      if ((${load}((lists + list) * ${words} + word) & wanted) != 0u) { return true; }
    }
  }
  return false;
}`);
}

/** Divides by a number that the launch knows: powers of two, which blocks mostly are, by a shift. */
function divider(value: number, number: (value: number) => string): (dividend: string) => string {
  const shift = Math.log2(value);
  if (!Number.isInteger(shift)) {
    const divisor = number(value);
    return (dividend) => `(${dividend} / ${divisor})`;
  }
  const bits = number(shift);
  return (dividend) => `(${dividend} >> ${bits})`;
}

/** Where the kernel that owns keys looks. */
export interface OwnKeysWhere extends Omit<PositionVariant, keyof SideInputVariant> {
  /** Some keys come from the range of all rows; its bounds are those of the variant. */
  readonly ranged: boolean;
  /** Whether a tile of queries may list rows of the workgroup, as WGSL; empty without lists. */
  readonly listedTile: string;
}

/** As `whereToLook`, with every list as a predicate over all rows. Call inside `gpu.tidy`. */
export function ownKeysWhere(
  shape: AttentionShape,
  options: Parameters<typeof whereToLook>[1],
  { range, tokens, blocks }: MaskSources,
  parts: CallParts,
): OwnKeysWhere {
  const where = whereToLook(shape, options, { range: range ?? true }, parts);
  if (!tokens && !blocks) return { ...where, ranged: true, listedTile: '' };
  const sees: string[] = range === undefined ? [] : [where.rangeSees || 'true'];
  const tiles: string[] = [];
  for (const [kind, source] of [
    ['tokens', tokens],
    ['blocks', blocks],
  ] as const) {
    if (!source) continue;
    defineListed(kind, source.list, shape, parts);
    const predicate = source.where ? ` && ${predicateText(source.where, shape, parts).sees}` : '';
    sees.push(`(${kind}_listed(query, u32(key_position))${predicate})`);
    tiles.push(`${kind}_tile(batch, head, first_query, last_query, first_row, last_row)`);
  }
  return {
    ...where,
    rangeSees: `(${sees.join(' || ')})`,
    ranged: range !== undefined,
    // Each is asked, whatever the others say.
    listedTile: tiles.join(' | '),
  };
}

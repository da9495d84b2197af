import { defineKernel, type Variant } from '../kernels/kernel.ts';
import { orderKeyFunction, orderParameters } from '../kernels/order-key.ts';
import { scanPairsFunction } from '../kernels/workgroup-scan.ts';
import { workgroupSelect } from '../kernels/workgroup-select.ts';
import { workgroupSortFunction } from '../kernels/workgroup-sort.ts';
import { siftDeclarations, siftedSelection } from './top-k-sift.ts';

export interface TopKRowVariant extends Variant {
  /** Row lengths come from a binding. */
  readonly ragged: boolean;
  /** 0: selected elements in ascending position. Otherwise sorted in workgroup memory, room for so many. */
  readonly sorted: number;
  /** Rows are sifted first; only in the order of positions. */
  readonly sifts: boolean;
}

/** Top-k with one workgroup per row: find the k-th largest key, then collect what is larger, and its first equals. */
export const topKRow = defineKernel<TopKRowVariant>({
  name: 'topKRow',
  bindings: (variant) => [
    { name: 'x', type: 'array<u32>', access: 'read' },
    ...(variant.ragged ? [{ name: 'lengths', type: 'array<u32>', access: 'read' } as const] : []),
    { name: 'values', type: 'array<u32>', access: 'read_write' },
    { name: 'indices', type: 'array<u32>', access: 'read_write' },
    { name: 'counts', type: 'array<u32>', access: 'read_write' },
  ],
  parameters: [['n', 'u32'], ['k', 'u32'], ['limit', 'u32'], ['padding', 'u32'], ...orderParameters],
  workgroupSize: (_, capabilities) => workgroupSelect(capabilities).lanes,
  source: (variant, capabilities) => {
    const select = workgroupSelect(capabilities);
    const { lanes } = select;
    const { sifts } = variant;
    const keep =
      variant.sorted > 0
        ? 'sort_keys[place] = key; sort_items[place] = at;'
        : 'values[group * params.k + place] = bits; indices[group * params.k + place] = at;';
    const wholeRow = `
  let selected = select_key(lane, base, length, wanted);
  let threshold = selected.x;
  let need = selected.y;
  // Each invocation owns a stretch of positions, so that one scan gives every selected element its place.
  let share = (length + ${lanes - 1}u) / ${lanes}u;
  let own_start = min(lane * share, length);
  let own_end = min(own_start + share, length);
  var own = vec2u(0u);
  for (var at = own_start; at < own_end; at++) {
    let key = order_key(x[base + at]);
    own += vec2u(u32(key > threshold), u32(key == threshold));
  }
  var before = scan_pairs(lane, own);
  for (var at = own_start; at < own_end; at++) {
    let bits = x[base + at];
    let key = order_key(bits);
    if (key > threshold || (key == threshold && before.y < need)) {
      let place = before.x + min(before.y, need);
      ${keep}
    }
    before += vec2u(u32(key > threshold), u32(key == threshold));
  }`;
    return {
      declarations: `${orderKeyFunction}${scanPairsFunction(lanes)}
${variant.sorted > 0 ? workgroupSortFunction(variant.sorted, lanes) : ''}${select.declarations}${select.declare('select_key', (index) => `order_key(x[${index}])`)}${sifts ? siftDeclarations(select) : ''}`,
      main: `
  let base = group * params.n;
  let length = min(params.limit, ${variant.ragged ? 'lengths[group]' : 'params.n'});
  let wanted = min(params.k, length);
  ${
    sifts
      ? `${siftedSelection(select)}
  if (!sifted) {${wholeRow}
  }`
      : wholeRow
  }
  ${
    variant.sorted > 0
      ? `workgroupBarrier();
  sort_block(lane, wanted);
  for (var at = lane; at < wanted; at += ${lanes}u) {
    values[group * params.k + at] = x[base + sort_items[at]];
    indices[group * params.k + at] = sort_items[at];
  }`
      : ''
  }
  for (var at = wanted + lane; at < params.k; at += ${lanes}u) {
    values[group * params.k + at] = params.padding;
    indices[group * params.k + at] = 0xffffffffu;
  }
  if (lane == 0u) { counts[group] = wanted; }`,
    };
  },
});

import type { Capabilities } from '../device/capabilities.ts';
import { defineKernel, type Variant } from '../kernels/kernel.ts';
import { type OrderedDtype, orderKeyFunction } from '../kernels/order-key.ts';
import { LOWEST } from '../kernels/wgsl.ts';
import { scanPairsFunction } from '../kernels/workgroup-scan.ts';
import { workgroupSortFunction } from '../kernels/workgroup-sort.ts';

/** What pads rows with fewer than k candidates, as bits in WGSL: the lowest score, -2^31 or 0. */
export function lowestValueBits(dtype: OrderedDtype): string {
  return { f32: `bitcast<u32>(${LOWEST})`, i32: '0x80000000u', u32: '0u' }[dtype];
}

export interface TopKRowVariant extends Variant {
  readonly dtype: OrderedDtype;
  /** Row lengths come from a binding. */
  readonly ragged: boolean;
  /** 0: selected elements in ascending position. Otherwise sorted in workgroup memory, room for so many. */
  readonly sorted: number;
}

/** How the k-th largest key is found, and with how many invocations. */
interface Search {
  readonly lanes: number;
  readonly declarations: string;
  /** Leaves the k-th largest key in `threshold` and how many of its equals belong to the top in `need`. */
  readonly main: string;
}

/**
 * For GPUs: radix select with 8-bit digits, counted by workgroup atomics. Invariant: `threshold` holds the leading bits of
 * the k-th largest key, and `need` how many keys with these bits belong to the top; the others that do are larger.
 */
const histogramSearch: Search = {
  lanes: 256,
  declarations: `
var<workgroup> bins: array<atomic<u32>, 256>;
var<workgroup> bin_groups: array<u32, 16>;
var<workgroup> found: vec2u;`,
  main: `
  var need = wanted;
  for (var digit = 0u; digit < 4u; digit++) {
    let shift = 24u - 8u * digit;
    atomicStore(&bins[lane], 0u);
    workgroupBarrier();
    for (var at = lane; at < length; at += 256u) {
      let leading = order_key(x[base + at]) >> shift;
      if ((leading >> 8u) == threshold) { atomicAdd(&bins[leading & 255u], 1u); }
    }
    workgroupBarrier();
    if (lane < 16u) {
      var sum = 0u;
      for (var bin = lane * 16u; bin < lane * 16u + 16u; bin++) { sum += atomicLoad(&bins[bin]); }
      bin_groups[lane] = sum;
    }
    workgroupBarrier();
    if (lane == 0u) {
      var above = 0u;
      var part = 15u;
      while (part > 0u && above + bin_groups[part] < need) { above += bin_groups[part]; part--; }
      var bin = part * 16u + 15u;
      while (bin > part * 16u) {
        let count = atomicLoad(&bins[bin]);
        if (above + count >= need) { break; }
        above += count;
        bin--;
      }
      found = vec2u((threshold << 8u) | bin, need - above);
    }
    let state = workgroupUniformLoad(&found);
    threshold = state.x;
    need = state.y;
  }`,
};

/**
 * For software adapters, where atomics run one by one and comparisons eight at a time: two bits of the key per pass, by
 * counting the keys that reach each of three thresholds. Eight invocations are one vector, whose barriers cost nothing.
 */
const comparisonSearch: Search = {
  lanes: 8,
  declarations: `
var<workgroup> reached: array<vec3u, 8>;
var<workgroup> found: vec2u;`,
  main: `
  var above = 0u;
  for (var digit = 0u; digit < 16u; digit++) {
    let shift = 30u - 2u * digit;
    let first = threshold + (1u << shift);
    let second = threshold + (2u << shift);
    let third = threshold + (3u << shift);
    var own = vec3u(0u);
    var at = lane;
    for (; at + 24u < length; at += 32u) {
      let a = order_key(x[base + at]);
      let b = order_key(x[base + at + 8u]);
      let c = order_key(x[base + at + 16u]);
      let d = order_key(x[base + at + 24u]);
      own += vec3u(u32(a >= first), u32(a >= second), u32(a >= third));
      own += vec3u(u32(b >= first), u32(b >= second), u32(b >= third));
      own += vec3u(u32(c >= first), u32(c >= second), u32(c >= third));
      own += vec3u(u32(d >= first), u32(d >= second), u32(d >= third));
    }
    for (; at < length; at += 8u) {
      let key = order_key(x[base + at]);
      own += vec3u(u32(key >= first), u32(key >= second), u32(key >= third));
    }
    reached[lane] = own;
    workgroupBarrier();
    if (lane == 0u) {
      var sum = vec3u(0u);
      for (var i = 0u; i < 8u; i++) { sum += reached[i]; }
      if (sum.z >= wanted) { found = vec2u(third, above); }
      else if (sum.y >= wanted) { found = vec2u(second, sum.z); }
      else if (sum.x >= wanted) { found = vec2u(first, sum.y); }
      else { found = vec2u(threshold, sum.x); }
    }
    let state = workgroupUniformLoad(&found);
    threshold = state.x;
    above = state.y;
  }
  let need = wanted - above;`,
};

const searchFor = (capabilities: Capabilities): Search => (capabilities.software ? comparisonSearch : histogramSearch);

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
  parameters: [
    ['n', 'u32'],
    ['k', 'u32'],
    ['limit', 'u32'],
  ],
  workgroupSize: (_, capabilities) => searchFor(capabilities).lanes,
  source: (variant, capabilities) => {
    const search = searchFor(capabilities);
    const { lanes } = search;
    return {
      declarations: `${orderKeyFunction(variant.dtype)}${scanPairsFunction(lanes)}
${variant.sorted > 0 ? workgroupSortFunction(variant.sorted, lanes) : ''}${search.declarations}`,
      main: `
  let base = group * params.n;
  let length = min(params.limit, ${variant.ragged ? 'lengths[group]' : 'params.n'});
  let wanted = min(params.k, length);
  var threshold = 0u;${search.main}
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
      ${
        variant.sorted > 0
          ? 'sort_keys[place] = key; sort_items[place] = at;'
          : 'values[group * params.k + place] = bits; indices[group * params.k + place] = at;'
      }
    }
    before += vec2u(u32(key > threshold), u32(key == threshold));
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
    values[group * params.k + at] = ${lowestValueBits(variant.dtype)};
    indices[group * params.k + at] = 0xffffffffu;
  }
  if (lane == 0u) { counts[group] = wanted; }`,
    };
  },
});

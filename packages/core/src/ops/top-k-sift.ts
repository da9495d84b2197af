import { range } from '../attention/text.ts';
import type { Capabilities } from '../device/capabilities.ts';
import type { WorkgroupSelect } from '../kernels/workgroup-select.ts';

/** Elements of a row that are looked at to find a bound. */
const samples = 512;
/** Elements above the bound that an invocation can hold. */
const held = 192;

/** Elements that an invocation looks at before it keeps those that reach the bound, which are few: a store costs more than a look. */
const stride = 8;

/** Longest list that a sifting kernel selects: what it keeps for sorting is of this size. */
export const mostSifted = 256;

/**
 * Whether rows are sifted: a bound that some more than k elements should reach is taken from a sample, one pass keeps those
 * that do, and the exact selection looks at them alone. For software adapters, whose selection otherwise goes over the
 * whole row eight times; where the sample misleads (or too many elements are equal), that is what happens.
 */
export function siftsRows(n: number, k: number, { software }: Capabilities): boolean {
  return software && n >= 8 * samples && k <= mostSifted && k <= n / 16;
}

/** Declarations of {@link siftedSelection}, behind those of `select`. */
export function siftDeclarations(select: WorkgroupSelect): string {
  return `
const no_place = 0xffffffffu;
var<workgroup> sift_places: array<u32, ${select.lanes * held}>;
var<workgroup> sift_counts: array<u32, ${select.lanes}>;
var<workgroup> sift_found: vec2u;
var<private> sift_base: u32;
fn sifted_key(index: u32) -> u32 {
  let place = sift_places[index];
  return select(order_key(x[sift_base + min(place, params.n - 1u)]), 0u, place == no_place);
}
/** Sum and maximum of a number over the workgroup. */
fn sift_total(lane: u32, own: u32) -> vec2u {
  workgroupBarrier();
  sift_counts[lane] = own;
  workgroupBarrier();
  if (lane == 0u) {
    var total = vec2u(0u);
    for (var i = 0u; i < ${select.lanes}u; i++) { total = vec2u(total.x + sift_counts[i], max(total.y, sift_counts[i])); }
    sift_found = total;
  }
  return workgroupUniformLoad(&sift_found);
}
${select.declare('select_sifted', (index) => `sifted_key(${index})`)}`;
}

/**
 * Statements that, in scope of `base`, `length` and `wanted`, declare `sifted` and, where that is true, `bound` and `kept`:
 * every element at `sift_places[i * lanes + lane]`, i below `kept`, whose key is at least the bound is selected, and no other.
 */
export function siftedSelection({ lanes }: WorkgroupSelect): string {
  return `
  var sifted = false;
  var bound = 0u;
  var kept = 0u;
  sift_base = base;
  if (length >= ${8 * samples}u && wanted > 0u) {
    let step = length / ${samples}u;
    for (var i = lane; i < ${samples}u; i += ${lanes}u) { sift_places[i] = i * step; }
    workgroupBarrier();
    // Elements of the sample that stand for k of the row, and four standard deviations more.
    let share = f32(wanted) / f32(step);
    bound = select_sifted(lane, 0u, ${samples}u, min(u32(share + 4.0 * sqrt(share)) + 2u, ${samples}u)).x;
    workgroupBarrier();
    for (var first = lane; first < length; first += ${lanes * stride}u) {
      var hits = 0u;
      ${range(stride)
        .map((step) => {
          const at = `first + ${lanes * step}u`;
          return `hits |= select(0u, ${2 ** step}u, ${at} < length && order_key(x[base + ${at}]) >= bound);`;
        })
        .join('\n      ')}
      while (hits != 0u) {
        if (kept < ${held}u) { sift_places[kept * ${lanes}u + lane] = first + ${lanes}u * firstTrailingBit(hits); }
        kept++;
        hits &= hits - 1u;
      }
    }
    let total = sift_total(lane, kept);
    if (total.y <= ${held}u && total.x >= wanted) {
      for (var i = kept; i < total.y; i++) { sift_places[i * ${lanes}u + lane] = no_place; }
      workgroupBarrier();
      bound = select_sifted(lane, 0u, total.y * ${lanes}u, wanted).x;
      var reached = 0u;
      for (var i = 0u; i < kept; i++) { reached += u32(sifted_key(i * ${lanes}u + lane) >= bound); }
      // More than wanted: equal ones, of which the first in the row are selected.
      sifted = sift_total(lane, reached).x == wanted;
    }
  }`;
}

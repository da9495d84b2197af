import { range } from '../attention/text.ts';
import type { Capabilities } from '../device/capabilities.ts';
import type { WorkgroupSelect } from '../kernels/workgroup-select.ts';

/** Elements of a row that are looked at to find a bound. */
const samples = 512;
/** Elements above the bound that an invocation can hold. */
const held = 256;

/** Elements whose comparisons are made without a branch; those that reach the bound, which are few, are kept afterwards. */
const looks = 32;
const unrolled = 8;

/** Rounds in which the invocations go over a row: so many that no invocation gets all of what stands close together. */
const rounds = 32;

/**
 * Whether rows are sifted: a bound that some more than k elements should reach is taken from a sample, one pass keeps those
 * that do, and the exact selection looks at them alone. For software adapters, whose selection otherwise goes over the
 * whole row eight times; where the sample misleads, that is what happens.
 */
export function siftsRows(n: number, k: number, { software }: Capabilities): boolean {
  return software && n >= 8 * samples && k <= 256 && k <= n / 16;
}

/** Declarations of {@link siftedSelection}, behind those of `select`. */
export function siftDeclarations(select: WorkgroupSelect): string {
  return `
var<workgroup> sift_keys: array<u32, ${select.lanes * held}>;
// Of each round and invocation: how many keys are selected, in the upper half those that equal the last of them.
var<workgroup> sift_rounds: array<u32, ${rounds * select.lanes}>;
var<private> sift_places: array<u32, ${held}>;
${select.declare('select_sifted', (index) => `sift_keys[${index}]`)}`;
}

/**
 * Statements that, in scope of `base`, `length` and `wanted`, declare `sifted` and, where that is true, write the selected
 * elements in the order of their positions.
 */
export function siftedSelection({ lanes }: WorkgroupSelect): string {
  const look = range(unrolled).map(
    (step) => `hits |= select(0u, 1u << (part + ${step}u), order_key(x[base + at + part + ${step}u]) >= bound);`,
  );
  return `
  var sifted = false;
  if (length >= ${8 * samples}u && wanted > 0u) {
    let step = length / ${samples}u;
    for (var i = lane; i < ${samples}u; i += ${lanes}u) { sift_keys[i] = order_key(x[base + i * step]); }
    workgroupBarrier();
    // Elements of the sample that stand for k of the row, and four standard deviations more.
    let share = f32(wanted) / f32(step);
    let bound = select_sifted(lane, 0u, ${samples}u, min(u32(share + 4.0 * sqrt(share)) + 2u, ${samples}u)).x;
    workgroupBarrier();
    // An invocation goes over a stretch of each round, so that what it keeps is in the order of positions.
    let stretch = (length + ${looks * rounds * lanes - 1}u) / ${looks * rounds * lanes}u * ${looks}u;
    var kept = 0u;
    for (var round = 0u; round < ${rounds}u; round++) {
      let start = min((round * ${lanes}u + lane) * stretch, length);
      let end = min(start + stretch, length);
      var at = start;
      for (; at + ${looks}u <= end; at += ${looks}u) {
        var hits = 0u;
        for (var part = 0u; part < ${looks}u; part += ${unrolled}u) {
          ${look.join('\n          ')}
        }
        while (hits != 0u) {
          let place = at + firstTrailingBit(hits);
          if (kept < ${held}u) {
            sift_places[kept] = place;
            sift_keys[kept * ${lanes}u + lane] = order_key(x[base + place]);
          }
          kept++;
          hits &= hits - 1u;
        }
      }
      for (; at < end; at++) {
        let key = order_key(x[base + at]);
        if (key >= bound) {
          if (kept < ${held}u) {
            sift_places[kept] = at;
            sift_keys[kept * ${lanes}u + lane] = key;
          }
          kept++;
        }
      }
    }
    // No invocation may have too many, and all together must have enough.
    scan_pairs(lane, vec2u(kept, u32(kept > ${held}u)));
    let total = workgroupUniformLoad(&scan_pairs_total);
    if (total.y == 0u && total.x >= wanted) {
      sifted = true;
      sift_rounds[lane] = kept;
      workgroupBarrier();
      if (lane == 0u) {
        var most = 0u;
        for (var i = 0u; i < ${lanes}u; i++) { most = max(most, sift_rounds[i]); }
        scan_pairs_total = vec2u(most, 0u);
      }
      let most = workgroupUniformLoad(&scan_pairs_total).x;
      for (var i = kept; i < most; i++) { sift_keys[i * ${lanes}u + lane] = 0u; }
      workgroupBarrier();
      let last = select_sifted(lane, 0u, most * ${lanes}u, wanted);
      var i = 0u;
      for (var round = 0u; round < ${rounds}u; round++) {
        let end = (round * ${lanes}u + lane + 1u) * stretch;
        var own = 0u;
        for (; i < kept && sift_places[i] < end; i++) {
          let key = sift_keys[i * ${lanes}u + lane];
          own += u32(key > last.x) + (u32(key == last.x) << 16u);
        }
        sift_rounds[round * ${lanes}u + lane] = own;
      }
      workgroupBarrier();
      var sum = vec2u(0u);
      for (var entry = lane * ${rounds}u; entry < (lane + 1u) * ${rounds}u; entry++) {
        sum += vec2u(sift_rounds[entry] & 0xffffu, sift_rounds[entry] >> 16u);
      }
      var before = scan_pairs(lane, sum);
      for (var entry = lane * ${rounds}u; entry < (lane + 1u) * ${rounds}u; entry++) {
        let own = sift_rounds[entry];
        sift_rounds[entry] = before.x + (before.y << 16u);
        before += vec2u(own & 0xffffu, own >> 16u);
      }
      workgroupBarrier();
      i = 0u;
      for (var round = 0u; round < ${rounds}u; round++) {
        let end = (round * ${lanes}u + lane + 1u) * stretch;
        let counts = sift_rounds[round * ${lanes}u + lane];
        var found = vec2u(counts & 0xffffu, counts >> 16u);
        for (; i < kept && sift_places[i] < end; i++) {
          let key = sift_keys[i * ${lanes}u + lane];
          let equal = key == last.x;
          // Of equal ones the first in the row are selected.
          if (key > last.x || (equal && found.y < last.y)) {
            let place = group * params.k + found.x + min(found.y, last.y);
            values[place] = x[base + sift_places[i]];
            indices[place] = sift_places[i];
          }
          found += vec2u(u32(key > last.x), u32(equal));
        }
      }
    }
  }`;
}

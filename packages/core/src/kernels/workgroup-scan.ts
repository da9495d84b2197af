/**
 * Declares `scan_pairs(lane, own: vec2u) -> vec2u`: the sum of `own` over all lower lanes of the workgroup, and after it
 * `scan_total` holds the sum over all lanes. Call in uniform control flow. `lanes` is 8, or a multiple of 16 up to 256.
 *
 * Two levels of serial sums over 16: three barriers, where a logarithmic scan needs two per step.
 */
export function scanPairsFunction(lanes: number): string {
  const size = Math.min(lanes, 16);
  const groups = lanes / size;
  return `
var<workgroup> scan_items: array<vec2u, ${lanes}>;
var<workgroup> scan_groups: array<vec2u, ${groups}>;
var<workgroup> scan_total: vec2u;
fn scan_pairs(lane: u32, own: vec2u) -> vec2u {
  scan_items[lane] = own;
  workgroupBarrier();
  if (lane < ${groups}u) {
    var sum = vec2u(0u);
    for (var i = lane * ${size}u; i < lane * ${size}u + ${size}u; i++) {
      let item = scan_items[i];
      scan_items[i] = sum;
      sum += item;
    }
    scan_groups[lane] = sum;
  }
  workgroupBarrier();
  if (lane == 0u) {
    var sum = vec2u(0u);
    for (var i = 0u; i < ${groups}u; i++) {
      let item = scan_groups[i];
      scan_groups[i] = sum;
      sum += item;
    }
    scan_total = sum;
  }
  workgroupBarrier();
  return scan_items[lane] + scan_groups[lane / ${size}u];
}`;
}

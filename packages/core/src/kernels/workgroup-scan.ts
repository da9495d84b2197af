/** Declares `add_wide`, `subtract_wide` and `less_wide` on 64-bit counts as (low, high) words. */
export const wideFunctions = `
fn add_wide(a: vec2u, b: vec2u) -> vec2u {
  let low = a.x + b.x;
  return vec2u(low, a.y + b.y + u32(low < a.x));
}
fn subtract_wide(a: vec2u, b: vec2u) -> vec2u {
  return vec2u(a.x - b.x, a.y - b.y - u32(a.x < b.x));
}
fn less_wide(a: vec2u, b: vec2u) -> bool {
  return a.y < b.y || (a.y == b.y && a.x < b.x);
}`;

/**
 * Declares `<name>(lane, own: vec2u) -> vec2u`: the sum of `own` over all lower lanes of the workgroup; afterwards
 * `<name>_total` holds the sum over all lanes. Call in uniform control flow. `lanes` is 8, or a multiple of 16 up to 256.
 *
 * Two levels of serial sums over 16: four barriers, where a logarithmic scan needs two per step.
 */
function scanFunction(name: string, lanes: number, add: (a: string, b: string) => string): string {
  const size = Math.min(lanes, 16);
  const groups = lanes / size;
  return `
var<workgroup> ${name}_items: array<vec2u, ${lanes}>;
var<workgroup> ${name}_groups: array<vec2u, ${groups}>;
var<workgroup> ${name}_total: vec2u;
fn ${name}(lane: u32, own: vec2u) -> vec2u {
  workgroupBarrier();
  ${name}_items[lane] = own;
  workgroupBarrier();
  if (lane < ${groups}u) {
    var sum = vec2u(0u);
    for (var i = lane * ${size}u; i < lane * ${size}u + ${size}u; i++) {
      let item = ${name}_items[i];
      ${name}_items[i] = sum;
      sum = ${add('sum', 'item')};
    }
    ${name}_groups[lane] = sum;
  }
  workgroupBarrier();
  if (lane == 0u) {
    var sum = vec2u(0u);
    for (var i = 0u; i < ${groups}u; i++) {
      let item = ${name}_groups[i];
      ${name}_groups[i] = sum;
      sum = ${add('sum', 'item')};
    }
    ${name}_total = sum;
  }
  workgroupBarrier();
  return ${add(`${name}_items[lane]`, `${name}_groups[lane / ${size}u]`)};
}`;
}

/** `scan_pairs`: scans two independent u32 counts. See {@link scanFunction}. */
export function scanPairsFunction(lanes: number): string {
  return scanFunction('scan_pairs', lanes, (a, b) => `${a} + ${b}`);
}

/** `scan_wide`: scans one 64-bit count; needs {@link wideFunctions}. */
export function scanWideFunction(lanes: number): string {
  return scanFunction('scan_wide', lanes, (a, b) => `add_wide(${a}, ${b})`);
}

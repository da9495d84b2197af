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

/** What a workgroup scan adds up. */
export interface WorkgroupScan {
  readonly name: string;
  /** WGSL type of the summands. */
  readonly type: string;
  /** 8, or a multiple of 16 up to 256. */
  readonly lanes: number;
  /** WGSL expression of the sum of two; by default `+`. */
  readonly add?: (a: string, b: string) => string;
}

/**
 * Declares `<name>(lane, own) -> type`: the sum of `own` over all lower lanes of the workgroup; afterwards
 * `<name>_total` holds the sum over all lanes. Call in uniform control flow.
 *
 * Two levels of serial sums over 16: four barriers, where a logarithmic scan needs two per step. The order of summation
 * is fixed, so that float sums reproduce.
 */
export function workgroupScanFunction({ name, type, lanes, add = (a, b) => `${a} + ${b}` }: WorkgroupScan): string {
  const size = Math.min(lanes, 16);
  const groups = lanes / size;
  return `
var<workgroup> ${name}_items: array<${type}, ${lanes}>;
var<workgroup> ${name}_groups: array<${type}, ${groups}>;
var<workgroup> ${name}_total: ${type};
fn ${name}(lane: u32, own: ${type}) -> ${type} {
  workgroupBarrier();
  ${name}_items[lane] = own;
  workgroupBarrier();
  if (lane < ${groups}u) {
    var sum = ${type}();
    for (var i = lane * ${size}u; i < lane * ${size}u + ${size}u; i++) {
      let item = ${name}_items[i];
      ${name}_items[i] = sum;
      sum = ${add('sum', 'item')};
    }
    ${name}_groups[lane] = sum;
  }
  workgroupBarrier();
  if (lane == 0u) {
    var sum = ${type}();
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

/** `scan_pairs`: scans two independent u32 counts as a vec2u. See {@link workgroupScanFunction}. */
export function scanPairsFunction(lanes: number): string {
  return workgroupScanFunction({ name: 'scan_pairs', type: 'vec2u', lanes });
}

/** `scan_wide`: scans one 64-bit count as a vec2u; needs {@link wideFunctions}. */
export function scanWideFunction(lanes: number): string {
  return workgroupScanFunction({ name: 'scan_wide', type: 'vec2u', lanes, add: (a, b) => `add_wide(${a}, ${b})` });
}

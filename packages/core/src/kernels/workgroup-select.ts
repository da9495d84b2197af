import type { Capabilities } from '../device/capabilities.ts';

/** How a workgroup finds the k-th largest key of a list. */
export interface WorkgroupSelect {
  /** The number of invocations that the kernel must have. */
  readonly lanes: number;
  /** Workgroup variables; once per kernel. */
  readonly declarations: string;
  /**
   * Declares `<name>(lane, base, length, wanted) -> vec2u`: the wanted-th largest of the keys `key("base + at")`, at below
   * `length`, and how many of its equals are among the `wanted` largest. `wanted` is at most `length`. Call in uniform
   * control flow with uniform arguments; the result is uniform.
   */
  readonly declare: (name: string, key: (index: string) => string) => string;
}

/**
 * For GPUs: radix select with 8-bit digits, counted by workgroup atomics. Invariant: `threshold` holds the leading bits of
 * the wanted key, and `need` how many keys with these bits belong to the largest; the others that do are larger.
 */
const histogramSelect: WorkgroupSelect = {
  lanes: 256,
  declarations: `
var<workgroup> select_bins: array<atomic<u32>, 256>;
var<workgroup> select_groups: array<u32, 16>;
var<workgroup> select_found: vec2u;`,
  declare: (name, key) => `
fn ${name}(lane: u32, base: u32, length: u32, wanted: u32) -> vec2u {
  var threshold = 0u;
  var need = wanted;
  for (var digit = 0u; digit < 4u; digit++) {
    let shift = 24u - 8u * digit;
    atomicStore(&select_bins[lane], 0u);
    workgroupBarrier();
    for (var at = lane; at < length; at += 256u) {
      let leading = ${key('base + at')} >> shift;
      if ((leading >> 8u) == threshold) { atomicAdd(&select_bins[leading & 255u], 1u); }
    }
    workgroupBarrier();
    if (lane < 16u) {
      var sum = 0u;
      for (var bin = lane * 16u; bin < lane * 16u + 16u; bin++) { sum += atomicLoad(&select_bins[bin]); }
      select_groups[lane] = sum;
    }
    workgroupBarrier();
    if (lane == 0u) {
      var above = 0u;
      var part = 15u;
      while (part > 0u && above + select_groups[part] < need) { above += select_groups[part]; part--; }
      var bin = part * 16u + 15u;
      while (bin > part * 16u) {
        let count = atomicLoad(&select_bins[bin]);
        if (above + count >= need) { break; }
        above += count;
        bin--;
      }
      select_found = vec2u((threshold << 8u) | bin, need - above);
    }
    let state = workgroupUniformLoad(&select_found);
    threshold = state.x;
    need = state.y;
  }
  return vec2u(threshold, need);
}`,
};

const unrolled = [0, 8, 16, 24];
/** Passes over the whole list, and how many of the keys that are then still possible an invocation can remember. */
const fullPasses = 5;
const remembered = 128;

const countReached = (keys: readonly string[]) =>
  keys
    .map((key) => `own += vec3u(u32(${key} >= first), u32(${key} >= second), u32(${key} >= third));`)
    .join('\n        ');

/**
 * For software adapters, where atomics run one by one and comparisons eight at a time: two bits of the key per pass, by
 * counting the keys that reach each of three thresholds. Eight invocations are one vector, whose barriers cost nothing.
 * After ten bits few keys are left as a rule; where they fit, the remaining passes look at those only.
 */
const comparisonSelect: WorkgroupSelect = {
  lanes: 8,
  declarations: `
var<workgroup> select_reached: array<vec3u, 8>;
var<workgroup> select_found: vec2u;
var<workgroup> select_left: array<u32, ${8 * remembered}>;`,
  declare: (name, key) => `
fn ${name}(lane: u32, base: u32, length: u32, wanted: u32) -> vec2u {
  var threshold = 0u;
  var above = 0u;
  var left = 0u;
  var above_left = 0u;
  var narrowed = false;
  for (var digit = 0u; digit < 16u; digit++) {
    let shift = 30u - 2u * digit;
    let first = threshold + (1u << shift);
    let second = threshold + (2u << shift);
    let third = threshold + (3u << shift);
    if (digit == ${fullPasses}u) {
      for (var at = lane; at < length; at += 8u) {
        let key = ${key('base + at')};
        if ((key ^ threshold) < ${2 ** (32 - 2 * fullPasses)}u) {
          if (left < ${remembered}u) { select_left[lane * ${remembered}u + left] = key; }
          left++;
        }
      }
      select_reached[lane].x = left;
      workgroupBarrier();
      if (lane == 0u) {
        var most = 0u;
        for (var i = 0u; i < 8u; i++) { most = max(most, select_reached[i].x); }
        select_found = vec2u(most, 0u);
      }
      narrowed = workgroupUniformLoad(&select_found).x <= ${remembered}u;
      above_left = select(0u, above, narrowed);
    }
    var own = vec3u(0u);
    if (narrowed) {
      for (var i = 0u; i < left; i++) {
        let key = select_left[lane * ${remembered}u + i];
        ${countReached(['key'])}
      }
    } else {
      var at = lane;
      for (; at + 24u < length; at += 32u) {
        ${unrolled.map((step) => `let key_${step} = ${key(`base + at + ${step}u`)};`).join('\n        ')}
        ${countReached(unrolled.map((step) => `key_${step}`))}
      }
      for (; at < length; at += 8u) {
        let key = ${key('base + at')};
        ${countReached(['key'])}
      }
    }
    select_reached[lane] = own;
    workgroupBarrier();
    if (lane == 0u) {
      var sum = vec3u(above_left);
      for (var i = 0u; i < 8u; i++) { sum += select_reached[i]; }
      if (sum.z >= wanted) { select_found = vec2u(third, above); }
      else if (sum.y >= wanted) { select_found = vec2u(second, sum.z); }
      else if (sum.x >= wanted) { select_found = vec2u(first, sum.y); }
      else { select_found = vec2u(threshold, sum.x); }
    }
    let state = workgroupUniformLoad(&select_found);
    threshold = state.x;
    above = state.y;
  }
  return vec2u(threshold, wanted - above);
}`,
};

/** The way to select that suits the adapter. */
export function workgroupSelect(capabilities: Capabilities): WorkgroupSelect {
  return capabilities.software ? comparisonSelect : histogramSelect;
}

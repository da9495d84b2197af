/**
 * Kernels under `sampleToken`. Probabilities are unnormalised fixed-point masses: exp(logit - largest) in units of 2^-32,
 * summed exactly in 64 bits, so that no result depends on the order of summation.
 *
 * The vocabulary is cut into groups of neighbouring tokens. Their maxima are found in parallel first; then one workgroup per
 * row visits only the groups that can matter.
 */
import type { Capabilities } from '../device/capabilities.ts';
import { defineKernel, type Variant } from '../kernels/kernel.ts';
import { floatOrderKeyFunction } from '../kernels/order-key.ts';
import { scanPairsFunction, scanWideFunction, wideFunctions } from '../kernels/workgroup-scan.ts';
import { workgroupSelect } from '../kernels/workgroup-select.ts';
import { philoxFunction } from '../random/philox.ts';

const groupLanes = 64;
/** Separates the words that sampling draws from every other use of the same seed. */
export const samplingDomain = 0x73616d70;

/** Scales the logits of tokens that the history holds. Repeated tokens write the same word twice. */
export const repetitionPenalty = defineKernel<{ readonly ragged: boolean }>({
  name: 'repetitionPenalty',
  bindings: ({ ragged }) => [
    { name: 'logits', type: 'array<f32>', access: 'read' },
    { name: 'history', type: 'array<u32>', access: 'read' },
    ...(ragged ? [{ name: 'lengths', type: 'array<u32>', access: 'read' } as const] : []),
    { name: 'penalised', type: 'array<atomic<u32>>', access: 'read_write' },
  ],
  parameters: [
    ['vocabulary', 'u32'],
    ['size', 'u32'],
    ['limit', 'u32'],
    ['total', 'u32'],
    ['penalty', 'f32'],
  ],
  workgroupSize: () => groupLanes,
  source: ({ ragged }) => ({
    main: `
  let at = group * ${groupLanes}u + lane;
  if (at >= params.total) { return; }
  let row = at / params.size;
  let token = history[at];
  if (at % params.size >= min(params.limit, ${ragged ? 'lengths[row]' : 'params.size'}) || token >= params.vocabulary) { return; }
  let logit = logits[row * params.vocabulary + token];
  let scaled = select(logit * params.penalty, logit / params.penalty, logit > 0.0);
  atomicStore(&penalised[row * params.vocabulary + token], bitcast<u32>(scaled));`,
  }),
});

const groupParameters = [
  ['vocabulary', 'u32'],
  ['groups', 'u32'],
  ['group_size', 'u32'],
  ['total', 'u32'],
] as const;

/** The largest order key of each group of tokens: [B, groups]. */
export const groupMaxima = defineKernel<Record<never, never>>({
  name: 'samplingGroupMaxima',
  bindings: () => [
    { name: 'logits', type: 'array<u32>', access: 'read' },
    { name: 'group_keys', type: 'array<u32>', access: 'read_write' },
  ],
  parameters: groupParameters,
  workgroupSize: () => groupLanes,
  source: () => ({
    declarations: floatOrderKeyFunction,
    main: `
  let own = group * ${groupLanes}u + lane;
  if (own >= params.total) { return; }
  let base = own / params.groups * params.vocabulary;
  let start = own % params.groups * params.group_size;
  var best = 0u;
  for (var token = start; token < min(start + params.group_size, params.vocabulary); token++) {
    best = max(best, order_key(logits[base + token]));
  }
  group_keys[own] = best;`,
  }),
});

/** `mass(key, largest) -> u32`: exp((logit - largest logit) / temperature) in units of 2^-32. */
const massFunction = `
fn value_of(key: u32) -> f32 {
  return bitcast<f32>(select(~key, key ^ 0x80000000u, key >= 0x80000000u));
}
// Logits at or below the lowest score's magnitude are masked; their differences could overflow.
const masked_key = ~bitcast<u32>(f32(-1e37));
fn mass(key: u32, largest: u32) -> u32 {
  if (key == largest) { return 0xffffffffu; }
  if (key <= masked_key) { return 0u; }
  let exponent = (value_of(key) - value_of(largest)) * params.inverse_temperature;
  if (exponent < -23.0) { return 0u; }
  return u32(min(exp(exponent) * 4294967296.0 + 0.5, 4294967040.0));
}`;

/** The mass of each group of tokens: vec2u [B, groups]. */
export const groupMasses = defineKernel<Record<never, never>>({
  name: 'samplingGroupMasses',
  bindings: () => [
    { name: 'logits', type: 'array<u32>', access: 'read' },
    { name: 'group_keys', type: 'array<u32>', access: 'read' },
    { name: 'group_masses', type: 'array<vec2u>', access: 'read_write' },
  ],
  parameters: [
    ['vocabulary', 'u32'],
    ['groups', 'u32'],
    ['group_size', 'u32'],
    ['parts', 'u32'],
    ['inverse_temperature', 'f32'],
  ],
  workgroupSize: () => groupLanes,
  source: () => ({
    declarations: `${floatOrderKeyFunction}${wideFunctions}${massFunction}
var<workgroup> largest_key: atomic<u32>;`,
    main: `
  let row = group / params.parts;
  var best = 0u;
  for (var at = lane; at < params.groups; at += ${groupLanes}u) { best = max(best, group_keys[row * params.groups + at]); }
  atomicMax(&largest_key, best);
  workgroupBarrier();
  let largest = atomicLoad(&largest_key);
  let own = group % params.parts * ${groupLanes}u + lane;
  if (own >= params.groups) { return; }
  let start = own * params.group_size;
  var sum = vec2u(0u);
  for (var token = start; token < min(start + params.group_size, params.vocabulary); token++) {
    sum = add_wide(sum, vec2u(mass(order_key(logits[row * params.vocabulary + token]), largest), 0u));
  }
  group_masses[row * params.groups + own] = sum;`,
  }),
});

const rowLanes = (capabilities: Capabilities) => workgroupSelect(capabilities).lanes;

/** One workgroup per row: the lowest token among those with the largest logit. */
export const greedyToken = defineKernel<Record<never, never>>({
  name: 'samplingGreedy',
  bindings: () => [
    { name: 'logits', type: 'array<u32>', access: 'read' },
    { name: 'group_keys', type: 'array<u32>', access: 'read' },
    { name: 'tokens', type: 'array<u32>', access: 'read_write' },
  ],
  parameters: [
    ['vocabulary', 'u32'],
    ['groups', 'u32'],
    ['group_size', 'u32'],
  ],
  workgroupSize: (_, capabilities) => rowLanes(capabilities),
  source: (_, capabilities) => {
    const lanes = rowLanes(capabilities);
    return {
      declarations: `${floatOrderKeyFunction}
var<workgroup> largest_key: atomic<u32>;
var<workgroup> first_group: atomic<u32>;
var<workgroup> first_token: atomic<u32>;`,
      main: `
  var best = 0u;
  var best_group = 0u;
  for (var at = lane; at < params.groups; at += ${lanes}u) {
    let key = group_keys[group * params.groups + at];
    if (at == lane || key > best) { best = key; best_group = at; }
  }
  if (lane == 0u) {
    atomicStore(&first_group, 0xffffffffu);
    atomicStore(&first_token, params.vocabulary - 1u);
  }
  atomicMax(&largest_key, best);
  workgroupBarrier();
  let largest = atomicLoad(&largest_key);
  if (best == largest && lane < params.groups) { atomicMin(&first_group, best_group); }
  workgroupBarrier();
  let start = atomicLoad(&first_group) * params.group_size;
  for (var token = start + lane; token < min(start + params.group_size, params.vocabulary); token += ${lanes}u) {
    if (order_key(logits[group * params.vocabulary + token]) == largest) { atomicMin(&first_token, token); }
  }
  workgroupBarrier();
  if (lane == 0u) { tokens[group] = atomicLoad(&first_token); }`,
    };
  },
});

const drawParameters = [
  ['inverse_temperature', 'f32'],
  ['seed_low', 'u32'],
  ['seed_high', 'u32'],
  ['position', 'u32'],
] as const;

/** `drawn(row, total) -> vec2u`: floor(total * u) for this row's and position's uniform number u, a multiple of 2^-32. */
const drawnFunction = `
fn share_of(total: vec2u, share: u32) -> vec2u {
  return add_wide(multiply_wide(total.y, share), vec2u(multiply_wide(total.x, share).y, 0u));
}
fn drawn(row: u32, total: vec2u) -> vec2u {
  let words = philox(vec4u(params.position, row, 0u, ${samplingDomain}u), vec2u(params.seed_low, params.seed_high));
  return share_of(total, words.x);
}`;

/** An invocation's stretch [own_start, own_end) of `count` items, in order over the invocations. */
const stretch = (count: string, lanes: number) => `
    let share = (${count} + ${lanes - 1}u) / ${lanes}u;
    let own_start = min(lane * share, ${count});
    let own_end = min(own_start + share, ${count});`;

/** One workgroup per row: a token drawn from all, by its group's mass and then its own. */
export const unfilteredToken = defineKernel<Record<never, never>>({
  name: 'samplingUnfiltered',
  bindings: () => [
    { name: 'logits', type: 'array<u32>', access: 'read' },
    { name: 'group_keys', type: 'array<u32>', access: 'read' },
    { name: 'group_masses', type: 'array<vec2u>', access: 'read' },
    { name: 'tokens', type: 'array<u32>', access: 'read_write' },
  ],
  parameters: [['vocabulary', 'u32'], ['groups', 'u32'], ['group_size', 'u32'], ...drawParameters],
  workgroupSize: (_, capabilities) => rowLanes(capabilities),
  source: (_, capabilities) => {
    const lanes = rowLanes(capabilities);
    return {
      declarations: `${floatOrderKeyFunction}${philoxFunction}${wideFunctions}${scanWideFunction(lanes)}${massFunction}${drawnFunction}
var<workgroup> largest_key: atomic<u32>;
// Group of the drawn token, and how far into the group's mass the draw fell.
var<workgroup> chosen: vec4u;`,
      main: `
  {
    let base = group * params.groups;${stretch('params.groups', lanes)}
    var own = vec2u(0u);
    var best = 0u;
    for (var at = own_start; at < own_end; at++) {
      own = add_wide(own, group_masses[base + at]);
      best = max(best, group_keys[base + at]);
    }
    atomicMax(&largest_key, best);
    var before = scan_wide(lane, own);
    let target_mass = drawn(group, scan_wide_total);
    for (var at = own_start; at < own_end; at++) {
      let next = add_wide(before, group_masses[base + at]);
      if (!less_wide(target_mass, before) && less_wide(target_mass, next)) {
        chosen = vec4u(at, subtract_wide(target_mass, before), 0u);
      }
      before = next;
    }
  }
  let pick = workgroupUniformLoad(&chosen);
  {
    let largest = atomicLoad(&largest_key);
    let start = pick.x * params.group_size;
    let size = min(params.group_size, params.vocabulary - start);
    let base = group * params.vocabulary + start;${stretch('size', lanes)}
    var own = vec2u(0u);
    for (var at = own_start; at < own_end; at++) {
      own = add_wide(own, vec2u(mass(order_key(logits[base + at]), largest), 0u));
    }
    var before = scan_wide(lane, own);
    for (var at = own_start; at < own_end; at++) {
      let next = add_wide(before, vec2u(mass(order_key(logits[base + at]), largest), 0u));
      if (!less_wide(pick.yz, before) && less_wide(pick.yz, next)) { tokens[group] = start + at; }
      before = next;
    }
  }`,
    };
  },
});

export interface FilterVariant extends Variant {
  readonly topK: boolean;
  readonly topP: boolean;
}

/**
 * One workgroup per row: collects the tokens that can survive the filters (ascending), applies top-k, then top-p, and draws.
 *
 * Top-k: k groups whose maxima reach L hold k tokens that reach L, so the k-th largest group maximum is a lower bound of the
 * k-th largest logit. Top-p alone: tokens below (1 - p) / V of the largest mass weigh less than 1 - p together, so the
 * smallest set with mass p never needs one.
 */
export const filteredToken = defineKernel<FilterVariant>({
  name: 'samplingFiltered',
  bindings: ({ topK }) => [
    { name: 'logits', type: 'array<u32>', access: 'read' },
    { name: 'group_keys', type: 'array<u32>', access: 'read' },
    ...(topK ? [] : [{ name: 'group_masses', type: 'array<vec2u>', access: 'read' } as const]),
    // Token and key of each candidate, row stride V.
    { name: 'candidates', type: 'array<vec2u>', access: 'read_write' },
    { name: 'tokens', type: 'array<u32>', access: 'read_write' },
  ],
  parameters: [
    ['vocabulary', 'u32'],
    ['groups', 'u32'],
    ['group_size', 'u32'],
    ...drawParameters,
    ['top_k', 'u32'],
    /** p in units of 2^-32. */
    ['top_share', 'u32'],
    /** temperature * ln((1 - p) / V). */
    ['tail', 'f32'],
  ],
  workgroupSize: (_, capabilities) => rowLanes(capabilities),
  source: ({ topK, topP }, capabilities) => {
    const select = workgroupSelect(capabilities);
    const { lanes } = select;
    const wideLoop = (count: string, item: string) => `{${stretch(count, lanes)}
    var own = vec2u(0u);
    for (var at = own_start; at < own_end; at++) { own = add_wide(own, ${item}); }
    _ = scan_wide(lane, own);
  }`;
    return {
      declarations: `${floatOrderKeyFunction}${philoxFunction}${wideFunctions}${scanPairsFunction(lanes)}${scanWideFunction(lanes)}${massFunction}${drawnFunction}
var<workgroup> largest_key: atomic<u32>;
${
  topK
    ? `${select.declarations}${select.declare('select_group', (index) => `group_keys[${index}]`)}${select.declare('select_candidate', (index) => `candidates[${index}].y`)}`
    : ''
}${topP ? topShareFunction(lanes) : ''}`,
      main: `
  let group_base = group * params.groups;
  let base = group * params.vocabulary;
  var best = 0u;
  for (var at = lane; at < params.groups; at += ${lanes}u) { best = max(best, group_keys[group_base + at]); }
  atomicMax(&largest_key, best);
  workgroupBarrier();
  let largest = atomicLoad(&largest_key);
  var bound = 0u;
  ${
    topK
      ? 'if (params.top_k <= params.groups) { bound = select_group(lane, group_base, params.groups, params.top_k).x; }'
      : 'bound = order_key(bitcast<u32>(value_of(largest) + params.tail));'
  }
  {${stretch('params.groups', lanes)}
    var found = 0u;
    for (var at = own_start; at < own_end; at++) {
      if (group_keys[group_base + at] < bound) { continue; }
      for (var token = at * params.group_size; token < min((at + 1u) * params.group_size, params.vocabulary); token++) {
        found += u32(order_key(logits[base + token]) >= bound);
      }
    }
    var place = base + scan_pairs(lane, vec2u(found, 0u)).x;
    for (var at = own_start; at < own_end; at++) {
      if (group_keys[group_base + at] < bound) { continue; }
      for (var token = at * params.group_size; token < min((at + 1u) * params.group_size, params.vocabulary); token++) {
        let key = order_key(logits[base + token]);
        if (key >= bound) {
          candidates[place] = vec2u(token, key);
          place++;
        }
      }
    }
  }
  let count = workgroupUniformLoad(&scan_pairs_total).x;
  storageBarrier();
  ${
    topK
      ? `// Tokens that equal the k-th largest all stay.
  let lowest = select_candidate(lane, base, count, params.top_k).x;`
      : 'let lowest = bound;'
  }
  ${
    topP
      ? `${topK ? wideLoop('count', 'kept_mass(candidates[base + at].y, lowest, largest)') : wideLoop('params.groups', 'group_masses[group_base + at]')}
  let wanted = max_one(share_of(workgroupUniformLoad(&scan_wide_total), params.top_share));
  let heavy = top_share(lane, base, count, lowest, largest, wanted);
  let threshold = heavy.x;
  let tie_mass = mass(threshold, largest);
  let tie_room = subtract_wide(wanted, heavy.yz);`
      : 'let threshold = lowest;'
  }
  {${stretch('count', lanes)}
    ${
      topP
        ? `var ties = 0u;
    for (var at = own_start; at < own_end; at++) { ties += u32(candidates[base + at].y == threshold); }
    let first_tie = scan_pairs(lane, vec2u(ties, 0u)).x;
    var tie = first_tie;`
        : ''
    }
    var own = vec2u(0u);
    for (var at = own_start; at < own_end; at++) {
      let key = candidates[base + at].y;
      ${keepTest(topP)}
      if (keep) { own = add_wide(own, vec2u(mass(key, largest), 0u)); }
    }
    var before = scan_wide(lane, own);
    let target_mass = drawn(group, scan_wide_total);
    ${topP ? 'tie = first_tie;' : ''}
    for (var at = own_start; at < own_end; at++) {
      let key = candidates[base + at].y;
      ${keepTest(topP)}
      if (keep) {
        let next = add_wide(before, vec2u(mass(key, largest), 0u));
        if (!less_wide(target_mass, before) && less_wide(target_mass, next)) { tokens[group] = candidates[base + at].x; }
        before = next;
      }
    }
  }`,
    };
  },
});

/** Sets `keep` for `key`; of the tokens that tie at the top-p threshold as many stay, from the lowest, as the mass still needs. */
const keepTest = (topP: boolean) =>
  topP
    ? `let tied = key == threshold;
      let keep = key > threshold || (tied && less_wide(multiply_wide(tie, tie_mass), tie_room));
      tie += u32(tied);`
    : 'let keep = key >= threshold;';

/**
 * Declares `top_share(...) -> vec4u`: the largest key such that the candidates that reach it weigh at least `wanted`, and
 * the mass (64 bits) of those above it. Two bits of the key per pass, like the comparison select.
 */
const topShareFunction = (lanes: number) => `
fn max_one(value: vec2u) -> vec2u {
  return select(value, vec2u(1u, 0u), all(value == vec2u(0u)));
}
fn kept_mass(key: u32, lowest: u32, largest: u32) -> vec2u {
  return vec2u(select(0u, mass(key, largest), key >= lowest), 0u);
}
var<workgroup> share_low: array<atomic<u32>, 3>;
var<workgroup> share_high: array<atomic<u32>, 3>;
var<workgroup> share_found: vec4u;
fn add_share(slot: u32, own: vec2u) {
  let old = atomicAdd(&share_low[slot], own.x);
  // Exactly the carries of the 64-bit sum, in whatever order the invocations come.
  atomicAdd(&share_high[slot], own.y + u32(old + own.x < old));
}
fn share_at(slot: u32) -> vec2u {
  return vec2u(atomicLoad(&share_low[slot]), atomicLoad(&share_high[slot]));
}
fn top_share(lane: u32, base: u32, count: u32, lowest: u32, largest: u32, wanted: vec2u) -> vec4u {
  var threshold = 0u;
  var above = vec2u(0u);
  for (var digit = 0u; digit < 16u; digit++) {
    let shift = 30u - 2u * digit;
    let first = threshold + (1u << shift);
    let second = threshold + (2u << shift);
    let third = threshold + (3u << shift);
    if (lane < 3u) {
      atomicStore(&share_low[lane], 0u);
      atomicStore(&share_high[lane], 0u);
    }
    workgroupBarrier();
    var own_first = vec2u(0u);
    var own_second = vec2u(0u);
    var own_third = vec2u(0u);
    for (var at = lane; at < count; at += ${lanes}u) {
      let key = candidates[base + at].y;
      if (key >= first) {
        let own = kept_mass(key, lowest, largest);
        own_first = add_wide(own_first, own);
        if (key >= second) { own_second = add_wide(own_second, own); }
        if (key >= third) { own_third = add_wide(own_third, own); }
      }
    }
    add_share(0u, own_first);
    add_share(1u, own_second);
    add_share(2u, own_third);
    workgroupBarrier();
    if (lane == 0u) {
      if (!less_wide(share_at(2u), wanted)) { share_found = vec4u(third, above, 0u); }
      else if (!less_wide(share_at(1u), wanted)) { share_found = vec4u(second, share_at(2u), 0u); }
      else if (!less_wide(share_at(0u), wanted)) { share_found = vec4u(first, share_at(1u), 0u); }
      else { share_found = vec4u(threshold, share_at(0u), 0u); }
    }
    let state = workgroupUniformLoad(&share_found);
    threshold = state.x;
    above = state.yz;
  }
  return vec4u(threshold, above, 0u);
}`;

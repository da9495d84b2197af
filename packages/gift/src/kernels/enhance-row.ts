import { defineKernel, ShapeError, type Tensor } from '@saccade/core';
import { chosenHeads } from '../options.ts';
import { rankFunction } from './rank.ts';

const lanes = 64;

/** What a token of the prompt is: 0 for others, for the n-th image token this plus n. */
export const questionRole = 1;
export const firstImageRole = 2;

const tensors = (output: string) => [
  { name: 'probabilities', type: 'array<f32>', access: 'read' as const },
  { name: 'roles', type: 'array<u32>', access: 'read' as const },
  { name: 'multipliers', type: 'array<f32>', access: 'read' as const },
  { name: output, type: 'array<f32>', access: 'read_write' as const },
];

/** The role of a stored row; those behind the prompt have none. */
const roleOf = `
fn role_of(key: u32, tokens: u32) -> u32 { return select(0u, roles[min(key, tokens - 1u)], key < tokens); }`;

/** One workgroup per head: mass of all keys, of the image before and after, of the question. */
const massesKernel = defineKernel({
  name: 'gift.masses',
  bindings: () => tensors('masses'),
  parameters: [
    ['keys', 'u32'],
    ['tokens', 'u32'],
  ],
  workgroupSize: () => lanes,
  source: () => ({
    declarations: `
var<workgroup> sums_of: array<vec4<f32>, ${lanes}>;${roleOf}`,
    main: `
  var sums = vec4<f32>();
  for (var key = lane; key < params.keys; key += ${lanes}u) {
    let probability = probabilities[group * params.keys + key];
    let role = role_of(key, params.tokens);
    sums.x += probability;
    if (role == ${questionRole}u) { sums.w += probability; }
    if (role >= ${firstImageRole}u) {
      sums.y += probability;
      sums.z += probability * multipliers[role - ${firstImageRole}u];
    }
  }
  sums_of[lane] = sums;
  workgroupBarrier();
  for (var step = ${lanes / 2}u; step > 0u; step = step / 2u) {
    if (lane < step) { sums_of[lane] += sums_of[lane + step]; }
    workgroupBarrier();
  }
  if (lane < 4u) { masses[4u * group + lane] = sums_of[0][lane]; }`,
  }),
});

/** One workgroup per head. Each finds the ratio of the layer by itself, from the masses of all heads. */
const enhanceKernel = defineKernel({
  name: 'gift.enhance',
  bindings: () => [
    ...tensors('enhanced').slice(0, 3),
    { name: 'masses', type: 'array<f32>', access: 'read' },
    { name: 'enhanced', type: 'array<f32>', access: 'read_write' },
  ],
  parameters: [
    ['keys', 'u32'],
    ['tokens', 'u32'],
    ['heads', 'u32'],
    ['chosen', 'u32'],
    ['beta', 'f32'],
  ],
  workgroupSize: () => lanes,
  source: () => ({
    declarations: `${roleOf}${rankFunction('image_rank', 'masses[4u * head + 1u]')}${rankFunction('question_rank', 'masses[4u * head + 3u]')}`,
    main: `
  var before = 0.0;
  var after = 0.0;
  for (var head = 0u; head < params.heads; head++) {
    if (image_rank(head, params.heads) >= params.chosen) { continue; }
    before += masses[4u * head + 1u];
    after += masses[4u * head + 2u];
  }
  let gain = params.beta * select(1.0, after / before, before > 0.0);
  let sees = image_rank(group, params.heads) < params.chosen;
  let asks = question_rank(group, params.heads) < params.chosen;
  let own = 4u * group;
  var total = masses[own];
  if (sees) { total += masses[own + 2u] - masses[own + 1u]; }
  if (asks) { total += (gain - 1.0) * masses[own + 3u]; }
  let normal = select(1.0, 1.0 / total, (sees || asks) && total > 0.0);
  for (var key = lane; key < params.keys; key += ${lanes}u) {
    let at = group * params.keys + key;
    let role = role_of(key, params.tokens);
    var factor = normal;
    if (asks && role == ${questionRole}u) { factor *= gain; }
    if (sees && role >= ${firstImageRole}u) { factor *= multipliers[role - ${firstImageRole}u]; }
    enhanced[at] = factor * probabilities[at];
  }`,
  }),
});

/**
 * One row of attention with more weight on what is salient and on the question. The heads that look most at the image weigh its tokens by
 * their multipliers; the heads that look most at the question weigh its tokens by `beta` times the ratio by which the image's mass grew in
 * the former. Rows that changed are made to sum to 1 again.
 *
 * @param probabilities f32 [H, M], by stored row
 * @param roles u32 [N]: of each token of the prompt 0, 1 for the question, 2 + n for the n-th image token
 * @param multipliers f32 [T]
 * @returns f32 [H, M]
 * @throws ShapeError
 */
export function enhanceRow(
  probabilities: Tensor,
  roles: Tensor,
  multipliers: Tensor,
  { beta, headFraction }: { readonly beta: number; readonly headFraction: number },
): Tensor {
  const [heads = 0, keys = 0] = probabilities.shape;
  if (probabilities.rank !== 2 || roles.rank !== 1 || multipliers.rank !== 1) {
    const given = `[${probabilities.shape}], [${roles.shape}] and [${multipliers.shape}]`;
    throw new ShapeError('enhanceRow', `it got ${given}; it takes [H, M], [N] and [T].`);
  }
  const { gpu } = probabilities;
  return gpu.tidy(() => {
    const masses = gpu.empty([heads, 4]);
    const cost = { flops: 6 * heads * keys, bytes: 12 * heads * keys };
    gpu.launch(
      massesKernel,
      {},
      {
        bindings: [probabilities, roles, multipliers, masses],
        parameters: [keys, roles.size],
        workgroups: heads,
        cost,
      },
    );
    const enhanced = gpu.empty([heads, keys]);
    gpu.launch(
      enhanceKernel,
      {},
      {
        bindings: [probabilities, roles, multipliers, masses, enhanced],
        parameters: [keys, roles.size, heads, chosenHeads(heads, headFraction), beta],
        workgroups: heads,
        cost,
      },
    );
    return enhanced;
  });
}

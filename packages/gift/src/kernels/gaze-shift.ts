import { defineKernel, ShapeError, type Tensor } from '@saccade/core';
import { chosenHeads } from '../options.ts';
import { rankFunction } from './rank.ts';

const lanes = 64;

/** One invocation per head and image token: the mean, over the chosen rows, of what the token gains from the row before. */
const shiftKernel = defineKernel({
  name: 'gift.shift',
  bindings: () => [
    { name: 'probabilities', type: 'array<f32>', access: 'read' },
    { name: 'chosen_rows', type: 'array<u32>', access: 'read' },
    { name: 'images', type: 'array<u32>', access: 'read' },
    { name: 'shift', type: 'array<f32>', access: 'read_write' },
  ],
  parameters: [
    ['heads', 'u32'],
    ['rows', 'u32'],
    ['keys', 'u32'],
    ['chosen', 'u32'],
    ['tokens', 'u32'],
  ],
  workgroupSize: () => lanes,
  source: () => ({
    main: `
  let index = group * ${lanes}u + lane;
  if (index >= params.heads * params.tokens) { return; }
  let head = index / params.tokens;
  let key = images[index % params.tokens];
  var total = 0.0;
  for (var place = 0u; place < params.chosen; place++) {
    let row = clamp(chosen_rows[place], 1u, params.rows - 1u);
    let at = (head * params.rows + row) * params.keys + key;
    total += max(probabilities[at] - probabilities[at - params.keys], 0.0);
  }
  shift[index] = total / f32(params.chosen);`,
  }),
});

/** One workgroup: sums of heads first, in order; behind them the mean over the heads with the largest. */
const focusKernel = defineKernel({
  name: 'gift.focus',
  bindings: () => [
    { name: 'shift', type: 'array<f32>', access: 'read' },
    { name: 'result', type: 'array<f32>', access: 'read_write' },
  ],
  parameters: [
    ['heads', 'u32'],
    ['tokens', 'u32'],
    ['kept', 'u32'],
  ],
  workgroupSize: () => lanes,
  source: () => ({
    declarations: rankFunction('rank', 'result[head]'),
    main: `
  for (var head = lane; head < params.heads; head += ${lanes}u) {
    var total = 0.0;
    for (var token = 0u; token < params.tokens; token++) { total += shift[head * params.tokens + token]; }
    result[head] = total;
  }
  storageBarrier();
  for (var token = lane; token < params.tokens; token += ${lanes}u) { result[params.heads + token] = 0.0; }
  for (var head = 0u; head < params.heads; head++) {
    if (rank(head, params.heads) >= params.kept) { continue; }
    for (var token = lane; token < params.tokens; token += ${lanes}u) {
      result[params.heads + token] += shift[head * params.tokens + token] / f32(params.kept);
    }
  }`,
  }),
});

/**
 * What image tokens gain while the question is read, in one layer: increases of attention from each row to the next, over the heads that
 * increase most.
 *
 * @param probabilities f32 [H, R, M]: attention of consecutive tokens, the first the one before the question
 * @param rows u32 [C]: rows that count, each at least 1
 * @param images u32 [T]: positions of the image's tokens
 * @returns f32 [T], the mean over heads and rows
 * @throws ShapeError
 */
export function gazeShift(
  probabilities: Tensor,
  rows: Tensor,
  images: Tensor,
  { headFraction }: { readonly headFraction: number },
): Tensor {
  const [heads = 0, count = 0, keys = 0] = probabilities.shape;
  if (probabilities.rank !== 3 || count < 2 || rows.size === 0 || images.size === 0) {
    const given = `probabilities [${probabilities.shape}], rows [${rows.shape}] and images [${images.shape}]`;
    throw new ShapeError('gazeShift', `it got ${given}; it takes [H, 2 or more, M], [C] and [T].`);
  }
  const { gpu } = probabilities;
  const tokens = images.size;
  return gpu.tidy(() => {
    const shift = gpu.empty([heads, tokens]);
    gpu.launch(
      shiftKernel,
      {},
      {
        bindings: [probabilities, rows, images, shift],
        parameters: [heads, count, keys, rows.size, tokens],
        workgroups: Math.ceil((heads * tokens) / lanes),
        cost: { flops: 3 * heads * tokens * rows.size, bytes: 4 * heads * tokens * (2 * rows.size + 1) },
      },
    );
    const result = gpu.empty([heads + tokens]);
    gpu.launch(
      focusKernel,
      {},
      {
        bindings: [shift, result],
        parameters: [heads, tokens, chosenHeads(heads, headFraction)],
        workgroups: 1,
        cost: { flops: 2 * heads * tokens, bytes: 8 * heads * tokens },
      },
    );
    return result.slice(0, heads, heads + tokens);
  });
}

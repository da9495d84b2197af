import { defineKernel, type KeySets, keySets, type Tensor } from '@saccade/core';

/** The sets that keys fall into, by their number. */
export const imageSet = 0;
export const visualSinkSet = 1;
export const textSinkSet = 2;
export const otherSet = 3;

const lanes = 64;

/** One invocation per stored row. Rows behind the prompt belong to the other tokens. */
const tokenSetsKernel = defineKernel({
  name: 'var.tokenSets',
  bindings: () => [
    { name: 'scores', type: 'array<f32>', access: 'read' },
    { name: 'image', type: 'array<u32>', access: 'read' },
    { name: 'sets', type: 'array<u32>', access: 'read_write' },
  ],
  parameters: [
    ['rows', 'u32'],
    ['tokens', 'u32'],
    ['threshold', 'f32'],
  ],
  workgroupSize: () => lanes,
  source: () => ({
    main: `
  let row = group * ${lanes}u + lane;
  if (row >= params.rows) { return; }
  let token = min(row, params.tokens - 1u);
  let sink = row < params.tokens && scores[token] > params.threshold;
  let seen = row < params.tokens && image[token] != 0u;
  sets[row] = select(select(${otherSet}u, ${textSinkSet}u, sink), select(${imageSet}u, ${visualSinkSet}u, sink), seen);`,
  }),
});

/**
 * Sorts the rows of a cache into image tokens, visual sinks, other sinks and all others.
 *
 * @param scores f32 [N]: how much of a sink each token of the prompt is, see `sinkScores`
 * @param image u32 [N]: 1 for tokens that hold an image
 * @param rows rows that the cache has, M
 */
export function tokenSets(scores: Tensor, image: Tensor, threshold: number, rows: number): KeySets {
  const { gpu } = scores;
  return gpu.tidy(() => {
    const sets = gpu.empty([1, rows], 'u32');
    const [tokens = 0] = scores.shape;
    gpu.launch(
      tokenSetsKernel,
      {},
      {
        bindings: [scores, image, sets],
        parameters: [rows, tokens, threshold],
        workgroups: Math.ceil(rows / lanes),
        cost: { flops: rows, bytes: 4 * (2 * tokens + rows) },
      },
    );
    return keySets(sets, 4);
  });
}

import { defineKernel, type Tensor } from '@saccade/core';

const lanes = 64;

/** One workgroup, once per prompt; each invocation finds the bounds by itself, in order. */
const multipliersKernel = defineKernel({
  name: 'gift.multipliers',
  bindings: () => [
    { name: 'saliency', type: 'array<f32>', access: 'read' },
    { name: 'multipliers', type: 'array<f32>', access: 'read_write' },
  ],
  parameters: [
    ['tokens', 'u32'],
    ['alpha', 'f32'],
    ['clip_sigma', 'f32'],
  ],
  workgroupSize: () => lanes,
  source: () => ({
    main: `
  var total = 0.0;
  var smallest = saliency[0];
  var largest = saliency[0];
  for (var token = 0u; token < params.tokens; token++) {
    total += saliency[token];
    smallest = min(smallest, saliency[token]);
    largest = max(largest, saliency[token]);
  }
  let mean = total / f32(params.tokens);
  var squares = 0.0;
  for (var token = 0u; token < params.tokens; token++) {
    // By the range, since squares of small differences would vanish.
    let distance = (saliency[token] - mean) / max(largest - smallest, 1e-30);
    squares += distance * distance;
  }
  let deviation = (largest - smallest) * sqrt(squares / f32(max(params.tokens, 2u) - 1u));
  let low = max(smallest, mean - params.clip_sigma * deviation);
  let high = min(largest, mean + params.clip_sigma * deviation);
  for (var token = lane; token < params.tokens; token += ${lanes}u) {
    let share = (clamp(saliency[token], low, max(low, high)) - low) / (high - low);
    multipliers[token] = select(1.0, exp(params.alpha * share), high > low);
  }`,
  }),
});

/**
 * Factors on the attention to image tokens: e^(alpha s), with s the saliency cut at a number of (sample) standard deviations and scaled to
 * [0, 1]. 1 for all where all are equally salient.
 *
 * @param saliency f32 [T]
 * @returns f32 [T], from 1 to e^alpha
 */
export function saliencyMultipliers(
  saliency: Tensor,
  { alpha, clipSigma }: { readonly alpha: number; readonly clipSigma: number },
): Tensor {
  const { gpu, size } = saliency;
  return gpu.tidy(() => {
    const multipliers = gpu.empty([size]);
    gpu.launch(
      multipliersKernel,
      {},
      {
        bindings: [saliency, multipliers],
        parameters: [size, alpha, clipSigma],
        workgroups: 1,
        cost: { flops: 8 * size, bytes: 8 * size },
      },
    );
    return multipliers;
  });
}

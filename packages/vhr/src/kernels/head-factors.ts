import { defineKernel, ShapeError, type Tensor } from '@saccade/core';

/** Which heads see the image. */
export interface HeadFactors {
  /** f32 [H]: alpha for heads that are reinforced, else 1. */
  readonly factors: Tensor;
  /** f32 [H]: how far each head's output moves when the image is taken away. */
  readonly divergence: Tensor;
}

const lanes = 64;

/**
 * One workgroup. Its invocations first measure heads, then decide on heads; sums over heads run in order, so that a head's fate does not
 * depend on the device. The results lie behind one another: divergences, factors, squared norms without the image.
 */
const headFactorsKernel = defineKernel({
  name: 'vhr.headFactors',
  bindings: () => [
    { name: 'with_image', type: 'array<f32>', access: 'read' },
    { name: 'without_image', type: 'array<f32>', access: 'read' },
    { name: 'result', type: 'array<f32>', access: 'read_write' },
  ],
  parameters: [
    ['heads', 'u32'],
    ['head_size', 'u32'],
    ['alpha', 'f32'],
    ['remove_outliers', 'u32'],
  ],
  workgroupSize: () => lanes,
  source: () => ({
    declarations: `
/* Mean plus sample standard deviation of the heads' numbers from a place on. */
fn bar(start: u32, heads: u32) -> f32 {
  var total = 0.0;
  for (var head = 0u; head < heads; head++) { total += result[start + head]; }
  let mean = total / f32(heads);
  var squares = 0.0;
  for (var head = 0u; head < heads; head++) {
    let distance = result[start + head] - mean;
    squares += distance * distance;
  }
  return mean + sqrt(squares / f32(max(heads, 2u) - 1u));
}
fn cleared(head: u32, heads: u32, divergence_bar: f32, norm_bar: f32, removes: bool) -> f32 {
  let divergence = result[head];
  let surges = removes && divergence > divergence_bar && result[2u * heads + head] > norm_bar;
  return select(divergence, 0.0, surges);
}`,
    main: `
  let heads = params.heads;
  for (var head = lane; head < heads; head += ${lanes}u) {
    var distance = 0.0;
    var norm = 0.0;
    for (var d = 0u; d < params.head_size; d++) {
      let at = head * params.head_size + d;
      let difference = with_image[at] - without_image[at];
      distance += difference * difference;
      norm += without_image[at] * without_image[at];
    }
    result[head] = sqrt(distance);
    result[2u * heads + head] = norm;
  }
  storageBarrier();
  let removes = params.remove_outliers != 0u;
  let divergence_bar = bar(0u, heads);
  let norm_bar = bar(2u * heads, heads);
  for (var head = lane; head < heads; head += ${lanes}u) {
    let own = cleared(head, heads, divergence_bar, norm_bar, removes);
    // Over the median: over the mean of the two in the middle, with ties in the order of heads.
    var lower = 0.0;
    var upper = 0.0;
    for (var other = 0u; other < heads; other++) {
      let candidate = cleared(other, heads, divergence_bar, norm_bar, removes);
      var rank = 0u;
      for (var third = 0u; third < heads; third++) {
        let value = cleared(third, heads, divergence_bar, norm_bar, removes);
        rank += u32(value < candidate || (value == candidate && third < other));
      }
      if (rank == (heads - 1u) / 2u) { lower = candidate; }
      if (rank == heads / 2u) { upper = candidate; }
    }
    result[heads + head] = select(1.0, params.alpha, own > 0.5 * (lower + upper));
  }`,
  }),
});

/**
 * Chooses the heads that see the image (equations 4, 6 and 7): the distance of a head's output with the image from that without it; zero
 * where both it and the norm without the image lie more than a standard deviation over the layer's mean; over the median are chosen.
 *
 * @param withImage f32 [H, D]: outputs of a layer's heads at the position that predicts, before the output projection
 * @param withoutImage as `withImage`, of the prompt without its image
 * @throws ShapeError
 */
export function headFactors(
  withImage: Tensor,
  withoutImage: Tensor,
  { alpha, removeOutliers }: { readonly alpha: number; readonly removeOutliers: boolean },
): HeadFactors {
  const [heads = 0, headSize = 0] = withImage.shape;
  if (withImage.rank !== 2 || `${withImage.shape}` !== `${withoutImage.shape}`) {
    const shapes = `[${withImage.shape}] and [${withoutImage.shape}]`;
    throw new ShapeError('headFactors', `withImage and withoutImage are ${shapes}; both take [H, D].`);
  }
  const { gpu } = withImage;
  return gpu.tidy(() => {
    const result = gpu.empty([3, heads]);
    gpu.launch(
      headFactorsKernel,
      {},
      {
        bindings: [withImage, withoutImage, result],
        parameters: [heads, headSize, alpha, Number(removeOutliers)],
        workgroups: 1,
        cost: { flops: 5 * heads * headSize + heads ** 3, bytes: 4 * heads * (2 * headSize + 3) },
      },
    );
    return { divergence: result.slice(0, 0, 1).reshape([heads]), factors: result.slice(0, 1, 2).reshape([heads]) };
  });
}

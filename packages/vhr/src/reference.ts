/** VHR in plain f64 loops: the definition that the GPU path is compared with. */

type Rows = readonly (readonly number[])[];

/** Distance of each head's output with the image from that without it (equation 4). Both [H][D]. */
export function headDivergence(withImage: Rows, withoutImage: Rows): number[] {
  return withImage.map((row, head) => Math.hypot(...row.map((x, d) => x - (withoutImage[head]?.[d] as number))));
}

/** Squared norms without the image. [H][D] */
export function textNorms(withoutImage: Rows): number[] {
  return withoutImage.map((row) => row.reduce((sum, x) => sum + x * x, 0));
}

/** Divergences with those of surging heads set to 0 (equation 6): both numbers over mean plus standard deviation. */
export function removeSurgingHeads(divergence: readonly number[], norms: readonly number[]): number[] {
  const [divergenceBar, normBar] = [bar(divergence), bar(norms)];
  return divergence.map((own, head) => (own > divergenceBar && (norms[head] as number) > normBar ? 0 : own));
}

function bar(values: readonly number[]): number {
  const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
  const squares = values.reduce((sum, x) => sum + (x - mean) ** 2, 0);
  return mean + Math.sqrt(squares / Math.max(values.length - 1, 1));
}

/** Heads over the median of the layer (equation 7), ascending. */
export function selectHeads(divergence: readonly number[]): number[] {
  const sorted = [...divergence].sort((a, b) => a - b);
  const half = (sorted.length - 1) / 2;
  const median = ((sorted[Math.floor(half)] as number) + (sorted[Math.ceil(half)] as number)) / 2;
  return divergence.flatMap((own, head) => (own > median ? [head] : []));
}

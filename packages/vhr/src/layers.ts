/** The published layers of LLaVA, for any depth: the second and the last 14 of 32, ascending. */
export function defaultLayers(layers: number): number[] {
  const last = Math.max(1, Math.round((layers * 14) / 32));
  const chosen = new Set([
    Math.min(1, layers - 1),
    ...Array.from({ length: last }, (_, index) => layers - last + index),
  ]);
  return [...chosen].sort((a, b) => a - b);
}

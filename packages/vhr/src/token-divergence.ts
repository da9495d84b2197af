/**
 * How much a token depends on the image, T-VHD (equation 5): the sum over layers of the `count` largest divergences of a layer's heads.
 *
 * @param divergences by layer, of each head
 */
export function tokenDivergence(divergences: readonly ArrayLike<number>[], count: number): number {
  return divergences
    .flatMap((layer) =>
      Array.from(layer)
        .sort((a, b) => b - a)
        .slice(0, count),
    )
    .reduce((sum, divergence) => sum + divergence, 0);
}

/** Options at which a row of blocks keeps this share of the tokens, in blocks of the published sizes for long and short texts. */
export function blocksAtBudget(
  budget: number,
  tokens: number,
): { readonly select: number; readonly blockSize: number } {
  const blockSize = tokens >= 4096 ? 128 : 32;
  const blocks = Math.ceil(tokens / blockSize);
  // One block comes on top of the share, and 0 is no share; half a block more keeps rounding away.
  return { select: (Math.max(0, Math.round(budget * blocks) - 1) + 0.5) / blocks, blockSize };
}

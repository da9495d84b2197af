import type { SparseDState } from './state.ts';

/**
 * Kept blocks as a share of all, the mean over patterns, heads and rows. One readback.
 *
 * @returns NaN before any pattern was chosen
 */
export async function patternDensity(state: SparseDState): Promise<number> {
  const { patterns } = state;
  const [first] = patterns;
  if (!first) return Number.NaN;
  const data = await first.blocks.counts.gpu.read(patterns.map(({ blocks }) => blocks.counts));
  const shares = data.flatMap((counts, index) => {
    const blocks = patterns[index]?.blocks.counts.shape[2] as number;
    return Array.from(counts, (count) => count / blocks);
  });
  return shares.reduce((sum, share) => sum + share, 0) / shares.length;
}

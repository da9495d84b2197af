/** Share of attention's operations in a prompt that a layer saves by the published count, which leaves the probes out: 1 - r^2. */
export function savedOperations(ratio: number): number {
  return 1 - ratio ** 2;
}

/** The same with m probes of n tokens counted: of 4 n^2 D, 4 (r n)^2 D remain, and 2 m n D for their scores. */
export function savedWithProbes(ratio: number, probes: number, n: number): number {
  return 1 - ratio ** 2 - probes / (2 * n);
}

/** How many times smaller than at 16 bits keys and values are, steps and minima left out. */
export function compressionRatio(ratio: number, bitsImportant: number, bitsOther: number): number {
  return 16 / (ratio * bitsImportant + (1 - ratio) * bitsOther);
}

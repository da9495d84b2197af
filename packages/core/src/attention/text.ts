/** 0 to count - 1: what generators unroll over. */
export function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

/** 0 to count - 1: what generators unroll over. */
export function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

/**
 * WGSL: the vec4f `value` of lane `lane`, a constant, for all lanes. A software adapter shuffles an element by one instruction and takes several for a
 * broadcast (decision 0130).
 */
export function quadOfLane(value: string, lane: number, software: boolean): string {
  if (!software) return `subgroupBroadcast(${value}, ${lane}u)`;
  return `vec4f(${['x', 'y', 'z', 'w'].map((element) => `subgroupShuffle(${value}.${element}, ${lane}u)`).join(', ')})`;
}

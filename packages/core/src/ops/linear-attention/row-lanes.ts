import type { Gpu } from '../../device/gpu.ts';

/**
 * Rows of a workgroup whose invocations own one each, and each `numbers` f32 of workgroup memory. Of a causal tile, half of the
 * pairs do not count: a software adapter, which gains nothing from wide workgroups, takes small ones.
 */
export function lanesOfRows({ capabilities }: Gpu, numbers: number): number {
  let lanes = capabilities.software ? 16 : 64;
  while (lanes > 1 && 4 * lanes * numbers > 16384) lanes /= 2;
  return lanes;
}

/**
 * Most numbers of a result that an invocation holds. On a GPU, as many as save most of the work that blocks repeat; a software adapter has
 * sixteen registers of eight lanes and runs a fifth faster with fewer (8 to 64 measured).
 */
export function heldNumbers({ capabilities }: Gpu): number {
  return capabilities.software ? 16 : 64;
}

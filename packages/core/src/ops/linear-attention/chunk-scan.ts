import { defineKernel, type Variant } from '../../kernels/kernel.ts';
import type { Tensor } from '../../tensor/tensor.ts';

interface ScanVariant extends Variant {
  /** From the last chunk to the first. */
  readonly reverse: boolean;
  /** Begins with a given state, and keeps what the last chunk ends with. */
  readonly initial: boolean;
  readonly final: boolean;
}

const lanes = 64;

/** Replaces what each chunk adds by what those before it add up to. One invocation per number of the state. */
const chunkScanKernel = defineKernel<ScanVariant>({
  name: 'linearAttentionChunkScan',
  bindings: ({ initial, final }) => [
    ...(initial ? [{ name: 'start', type: 'array<f32>', access: 'read' } as const] : []),
    { name: 'chunks', type: 'array<f32>', access: 'read_write' },
    ...(final ? [{ name: 'end', type: 'array<f32>', access: 'read_write' } as const] : []),
  ],
  parameters: [
    ['count', 'u32'],
    ['elements', 'u32'],
    ['total', 'u32'],
  ],
  workgroupSize: () => lanes,
  source: ({ reverse, initial, final }) => ({
    main: `
  let own = group * ${lanes}u + lane;
  if (own >= params.total) { return; }
  let first = (own / params.elements) * params.count * params.elements + own % params.elements;
  var sum = ${initial ? 'start[own]' : '0.0'};
  for (var step = 0u; step < params.count; step++) {
    let at = first + ${reverse ? '(params.count - 1u - step)' : 'step'} * params.elements;
    let added = chunks[at];
    chunks[at] = sum;
    sum += added;
  }
  ${final ? 'end[own] = sum;' : ''}`,
  }),
});

export interface ChunkScanOptions {
  readonly reverse?: boolean;
  /** f32 [G, ...] of one chunk. */
  readonly initial?: Tensor | undefined;
  /** Whether to return the sum of all. */
  readonly final?: boolean;
}

/**
 * Sums over the chunks before each, in place and in a fixed order.
 *
 * @param perChunk f32 [G, chunks, ...], contiguous
 * @returns the sum of all, f32 [G, ...], where it was asked for
 */
export function chunkScan(perChunk: Tensor, options: ChunkScanOptions = {}): Tensor | undefined {
  const { gpu, shape } = perChunk;
  const { reverse = false, initial, final = false } = options;
  const [groups, count, ...rest] = shape as [number, number, ...number[]];
  const end = final ? gpu.empty([groups, ...rest]) : undefined;
  const total = perChunk.size / count;
  gpu.launch(
    chunkScanKernel,
    { reverse, initial: initial !== undefined, final },
    {
      bindings: [...(initial ? [initial] : []), perChunk, ...(end ? [end] : [])],
      parameters: [count, total / groups, total],
      workgroups: Math.ceil(total / lanes),
      cost: { flops: perChunk.size, bytes: 8 * perChunk.size },
    },
  );
  return end;
}

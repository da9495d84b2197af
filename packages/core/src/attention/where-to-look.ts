import { Tensor } from '../tensor/tensor.ts';
import type { PositionVariant } from './positions.ts';
import type { SideInput, SideInputVariant } from './side-inputs.ts';
import type { WhereToLook } from './types.ts';

/** The tensors of a call that decide where to look, under their names in WGSL. */
export function sidesOf(options: WhereToLook): SideInput[] {
  const { keyLength, queryLength, queryOffset, keyPositions, keyStarts, tokens } = options;
  const sides = {
    key_lengths: keyLength,
    query_lengths: queryLength,
    query_offsets: queryOffset,
    key_positions: keyPositions,
    key_starts: keyStarts,
    list: tokens?.indices,
    list_counts: tokens?.counts,
  };
  return Object.entries(sides).flatMap(([name, tensor]) =>
    tensor instanceof Tensor ? [{ name, type: 'u32' as const, tensor }] : [],
  );
}

/** The parts of a call's variant that decide where to look. */
export function positionsOf(options: WhereToLook): Omit<PositionVariant, keyof SideInputVariant> {
  const { causal, slidingWindow, keyLength, queryLength, queryOffset, keyPositions, keyStarts, tokens } = options;
  return {
    causal: causal === true,
    window: slidingWindow !== undefined,
    keyLengths: !(keyLength instanceof Tensor) ? 'bound' : keyLength.rank === 2 ? 'kvHead' : 'batch',
    queryLengths: queryLength instanceof Tensor,
    queryOffsets: queryOffset instanceof Tensor,
    keyPositions: keyPositions !== undefined,
    ragged: keyStarts !== undefined,
    list: tokens !== undefined,
    listCounts: tokens?.counts instanceof Tensor,
  };
}

import { ShapeError } from '../errors.ts';
import { blockSizes } from './blocks/block-type.ts';
import type { QuantizedDtype } from './dtype.ts';

/** Elements that kernels read as one block; their quants stand together. */
export const blockElements = 32;

/** Elements of the super-blocks of K-quants, whose scales are scaled in turn. */
export const superElements = 256;

/** Words of a super-block's scales: the half-precision numbers, then 16 bytes. */
export const superScaleWords = 5;

/**
 * Quant words (u32) of one block of 32 elements in GPU memory. Four words hold the low four bits: byte i has element i in its low
 * half and element i + 16 in its high half. Behind them stands one word with the fifth bits (bit i of element i), or two with the
 * fifth and sixth (bits 2i and 2i + 1 of elements i and i + 16). Eight-bit quants are bytes.
 */
export const quantWords: Readonly<Record<QuantizedDtype, number>> = {
  q4_0: 4,
  q4_1: 4,
  q5_0: 5,
  q5_1: 5,
  q8_0: 8,
  q4_k: 4,
  q5_k: 5,
  q6_k: 6,
};

/** Whether a type has super-blocks. */
export function hasSuperBlocks(dtype: QuantizedDtype): boolean {
  return blockSizes[dtype].elements === superElements;
}

/**
 * GPU layout of a quantized piece: first the quants of all its blocks (`quantWords` words each), then their scales. The quant region is
 * padded to 256 bytes so that the scales can be bound by themselves.
 *
 * Scales: one word per block with the scale as f16 in the low half and, for q4_1 and q5_1, the minimum in the high half. K-quants
 * have `superScaleWords` words per super-block: d and dmin as f16, then 16 bytes: scale and minimum of each of 8 blocks (q4_k, q5_k),
 * or the signed scales of 16 half blocks (q6_k).
 */
export interface QuantizedLayout {
  readonly blocks: number;
  readonly quantBytes: number;
  readonly scaleOffset: number;
  readonly scaleBytes: number;
  readonly bytes: number;
}

export function quantizedLayout(dtype: QuantizedDtype, elements: number): QuantizedLayout {
  const unit = blockSizes[dtype].elements;
  if (elements % unit !== 0) {
    throw new ShapeError(dtype, `${elements} elements are not whole blocks of ${unit}.`);
  }
  const blocks = elements / blockElements;
  const quantBytes = blocks * quantWords[dtype] * 4;
  const scaleOffset = Math.ceil(quantBytes / 256) * 256;
  const scaleBytes = hasSuperBlocks(dtype) ? (elements / superElements) * superScaleWords * 4 : blocks * 4;
  return { blocks, quantBytes, scaleOffset, scaleBytes, bytes: scaleOffset + scaleBytes };
}

/** GPU bytes of quantized elements. */
export function quantizedBytes(dtype: QuantizedDtype, elements: number): number {
  return quantizedLayout(dtype, elements).bytes;
}

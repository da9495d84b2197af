import { ArgumentError, ShapeError } from '../errors.ts';
import { blockSizes } from './blocks/block-type.ts';
import type { QuantizedDtype } from './dtype.ts';

/** Elements that share a scale. */
export const blockElements = 32;

/** Quant words (u32) of one block in GPU memory: 4-bit pairs, or bytes. */
export const quantWords: Readonly<Record<QuantizedDtype, number>> = { q4_0: 4, q4_1: 4, q8_0: 8 };

/**
 * GPU layout of a quantized piece: first the quants of all its blocks (`quantWords` words each, so that a vec4<u32> load
 * is aligned), then one word per block with the scale as f16 in the low half and, for q4_1, the minimum in the high half.
 * The quant region is padded to 256 bytes so that the scales can be bound by themselves.
 */
export interface QuantizedLayout {
  readonly blocks: number;
  readonly quantBytes: number;
  readonly scaleOffset: number;
  readonly scaleBytes: number;
  readonly bytes: number;
}

export function quantizedLayout(dtype: QuantizedDtype, elements: number): QuantizedLayout {
  if (elements % blockElements !== 0) {
    throw new ShapeError(dtype, `${elements} elements are not whole blocks of ${blockElements}.`);
  }
  const blocks = elements / blockElements;
  const quantBytes = blocks * quantWords[dtype] * 4;
  const scaleOffset = Math.ceil(quantBytes / 256) * 256;
  const scaleBytes = blocks * 4;
  return { blocks, quantBytes, scaleOffset, scaleBytes, bytes: scaleOffset + scaleBytes };
}

/** GPU bytes of quantized elements. */
export function quantizedBytes(dtype: QuantizedDtype, elements: number): number {
  return quantizedLayout(dtype, elements).bytes;
}

/** Rearranges GGUF blocks into the two regions of the GPU layout; every bit of scale and quant is kept. */
export function packQuantized(dtype: QuantizedDtype, gguf: Uint8Array): { quants: Uint8Array; scales: Uint8Array } {
  const blockBytes = blockSizes[dtype].bytes;
  if (gguf.byteLength % blockBytes !== 0) {
    throw new ArgumentError('gguf', `${gguf.byteLength} bytes`, `a multiple of ${blockBytes} bytes (${dtype} blocks)`);
  }
  const layout = quantizedLayout(dtype, (gguf.byteLength / blockBytes) * blockElements);
  const quants = new Uint8Array(layout.quantBytes);
  const scales = new Uint8Array(layout.scaleBytes);
  const headBytes = dtype === 'q4_1' ? 4 : 2;
  const bodyBytes = blockBytes - headBytes;
  for (let block = 0; block < layout.blocks; block++) {
    const from = block * blockBytes;
    for (let i = 0; i < headBytes; i++) scales[block * 4 + i] = gguf[from + i] as number;
    for (let i = 0; i < bodyBytes; i++) quants[block * bodyBytes + i] = gguf[from + headBytes + i] as number;
  }
  return { quants, scales };
}

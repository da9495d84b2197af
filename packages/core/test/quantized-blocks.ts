import { blockSizes, type QuantizedDtype } from '@saccade/core';
import { seededRandom } from '@saccade/core/testing';
import { floatToHalfBits } from '../src/tensor/dtype.ts';

/** GGUF blocks with random quants and scales of moderate size (positive and negative). */
export function randomGguf(dtype: QuantizedDtype, blocks: number, seed: number): Uint8Array {
  const next = seededRandom(seed);
  const blockBytes = blockSizes[dtype].bytes;
  const bytes = Uint8Array.from({ length: blocks * blockBytes }, () => Math.floor(next() * 256));
  const view = new DataView(bytes.buffer);
  const largest = dtype === 'q8_0' ? 1 / 128 : 1 / 8;
  for (let block = 0; block < blocks; block++) {
    view.setUint16(block * blockBytes, floatToHalfBits((2 * next() - 1) * largest), true);
    if (dtype === 'q4_1') view.setUint16(block * blockBytes + 2, floatToHalfBits(2 * next() - 1), true);
  }
  return bytes;
}

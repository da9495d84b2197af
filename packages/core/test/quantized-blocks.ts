import { blockSizes, type QuantizedDtype } from '@saccade/core';
import { seededRandom } from '@saccade/core/testing';
import { floatToHalfBits } from '../src/tensor/dtype.ts';

/** Where the halves of a block stand (scale; scale and minimum), and how large they may be for numbers of about 1. */
const heads: Readonly<Record<QuantizedDtype, readonly (readonly [offset: number, largest: number])[]>> = {
  q4_0: [[0, 1 / 8]],
  q4_1: [
    [0, 1 / 8],
    [2, 1],
  ],
  q5_0: [[0, 1 / 16]],
  q5_1: [
    [0, 1 / 16],
    [2, 1],
  ],
  q8_0: [[0, 1 / 128]],
  q4_k: [
    [0, 1 / 1000],
    [2, 1 / 64],
  ],
  q5_k: [
    [0, 1 / 2000],
    [2, 1 / 64],
  ],
  q6_k: [[208, 1 / 4096]],
};

/** GGUF blocks with random quants and scales of moderate size (positive and negative). */
export function randomGguf(dtype: QuantizedDtype, blocks: number, seed: number): Uint8Array {
  const next = seededRandom(seed);
  const blockBytes = blockSizes[dtype].bytes;
  const bytes = Uint8Array.from({ length: blocks * blockBytes }, () => Math.floor(next() * 256));
  const view = new DataView(bytes.buffer);
  for (let block = 0; block < blocks; block++) {
    for (const [offset, largest] of heads[dtype]) {
      view.setUint16(block * blockBytes + offset, floatToHalfBits((2 * next() - 1) * largest), true);
    }
  }
  return bytes;
}

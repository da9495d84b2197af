import { ArgumentError } from '../errors.ts';
import { blockSizes } from './blocks/block-type.ts';
import { kMinimum, kScale } from './blocks/k-blocks.ts';
import type { QuantizedDtype } from './dtype.ts';
import { blockElements, quantizedLayout, quantWords, superElements, superScaleWords } from './quantized.ts';

/** Moves something of the GGUF block at `at` to where the GPU layout has it, from byte `to` of `out` on. */
type Mover = (gguf: Uint8Array, at: number, out: Uint8Array, to: number) => void;

interface Packing {
  readonly quants: Mover;
  readonly scales: Mover;
}

/** Rearranges GGUF blocks into the two regions of the GPU layout; every bit of scales and quants is kept. */
export function packQuantized(dtype: QuantizedDtype, gguf: Uint8Array): { quants: Uint8Array; scales: Uint8Array } {
  const { bytes, elements } = blockSizes[dtype];
  if (gguf.byteLength % bytes !== 0) {
    throw new ArgumentError('gguf', `${gguf.byteLength} bytes`, `a multiple of ${bytes} bytes (${dtype} blocks)`);
  }
  const count = gguf.byteLength / bytes;
  const layout = quantizedLayout(dtype, count * elements);
  const quants = new Uint8Array(layout.quantBytes);
  const scales = new Uint8Array(layout.scaleBytes);
  const packing = packings[dtype];
  const quantBytes = layout.quantBytes / count;
  const scaleBytes = layout.scaleBytes / count;
  for (let index = 0; index < count; index++) {
    packing.quants(gguf, index * bytes, quants, index * quantBytes);
    packing.scales(gguf, index * bytes, scales, index * scaleBytes);
  }
  return { quants, scales };
}

/** Bytes that stand together in the file as they do on the GPU. */
function move(offset: number, count: number, skip = 0): Mover {
  return (gguf, at, out, to) => {
    for (let i = 0; i < count; i++) out[to + skip + i] = gguf[at + offset + i] as number;
  };
}

function both(first: Mover, second: Mover): Mover {
  return (gguf, at, out, to) => {
    first(gguf, at, out, to);
    second(gguf, at, out, to);
  };
}

/** Byte i of a block gets the four bits of elements i and i + 16 of 32 that stand side by side, at `shift` of their bytes. */
function packNibbles(gguf: Uint8Array, from: number, shift: number, out: Uint8Array, to: number): void {
  for (let i = 0; i < 16; i++) {
    const low = ((gguf[from + i] as number) >> shift) & 15;
    out[to + i] = low | ((((gguf[from + 16 + i] as number) >> shift) & 15) << 4);
  }
}

/** `bits` bits of each of 32 elements, at `shift` of their bytes, one after another. */
function packBits(gguf: Uint8Array, from: number, shift: number, bits: 1 | 2, out: Uint8Array, to: number): void {
  const perByte = 8 / bits;
  const mask = (1 << bits) - 1;
  for (let i = 0; i < blockElements; i += perByte) {
    let byte = 0;
    for (let j = 0; j < perByte; j++) byte |= (((gguf[from + i + j] as number) >> shift) & mask) << (j * bits);
    out[to + i / perByte] = byte;
  }
}

const superBlocks = superElements / blockElements;

/** Nibbles of 256 elements: 32 bytes hold block 2n in their low and block 2n + 1 in their high halves. */
function superNibbles(offset: number, words: number): Mover {
  return (gguf, at, out, to) => {
    for (let block = 0; block < superBlocks; block++) {
      packNibbles(gguf, at + offset + (block >> 1) * 32, (block & 1) * 4, out, to + block * words * 4);
    }
  };
}

/** Q5_K's fifth bits: bit n of byte i belongs to element i of block n. */
const q5Fifths: Mover = (gguf, at, out, to) => {
  for (let block = 0; block < superBlocks; block++) {
    packBits(gguf, at + 16, block, 1, out, to + block * quantWords.q5_k * 4 + 16);
  }
};

/** Half of a Q6_K block is 64 bytes of low bits (two blocks in their low halves, two in the high ones) and 32 of high bits. */
const q6Quants: Mover = (gguf, at, out, to) => {
  for (let block = 0; block < superBlocks; block++) {
    const target = to + block * quantWords.q6_k * 4;
    packNibbles(gguf, at + (block >> 2) * 64 + (block & 1) * 32, (block & 2) * 2, out, target);
    packBits(gguf, at + 128 + (block >> 2) * 32, (block & 3) * 2, 2, out, target + 16);
  }
};

/** Q4_K's and Q5_K's scales of six bits take a byte each. */
const affineSuperScales: Mover = (gguf, at, out, to) => {
  for (let block = 0; block < superBlocks; block++) {
    out[to + 4 + 2 * block] = kScale(gguf, at + 4, block);
    out[to + 5 + 2 * block] = kMinimum(gguf, at + 4, block);
  }
};

const packings: Readonly<Record<QuantizedDtype, Packing>> = {
  q4_0: { quants: move(2, 16), scales: move(0, 2) },
  q4_1: { quants: move(4, 16), scales: move(0, 4) },
  q5_0: { quants: both(move(6, 16), move(2, 4, 16)), scales: move(0, 2) },
  q5_1: { quants: both(move(8, 16), move(4, 4, 16)), scales: move(0, 4) },
  q8_0: { quants: move(2, 32), scales: move(0, 2) },
  q4_k: { quants: superNibbles(16, quantWords.q4_k), scales: both(move(0, 4), affineSuperScales) },
  q5_k: { quants: both(superNibbles(48, quantWords.q5_k), q5Fifths), scales: both(move(0, 4), affineSuperScales) },
  q6_k: { quants: q6Quants, scales: both(move(208, 2), move(192, 4 * superScaleWords - 4, 4)) },
};

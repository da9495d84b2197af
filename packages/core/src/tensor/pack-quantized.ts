import { ArgumentError } from '../errors.ts';
import { blockSizes } from './blocks/block-type.ts';
import { kMinimum, kScale } from './blocks/k-blocks.ts';
import type { QuantizedDtype } from './dtype.ts';
import {
  blockElements,
  hasSuperBlocks,
  quantizedLayout,
  quantWords,
  superElements,
  superScaleWords,
} from './quantized.ts';

/** Reads the quants of block `block` (of 32 elements) of the GGUF block at `at`. */
type QuantReader = (gguf: Uint8Array, at: number, block: number, quants: Uint8Array) => void;

/** Where the GGUF block of a type has what the GPU layout wants. */
interface Packing {
  readonly read: QuantReader;
  /** Writes the bytes of the scales. */
  readonly scales: (gguf: Uint8Array, at: number, out: Uint8Array, to: number) => void;
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
  const scaleBytes = hasSuperBlocks(dtype) ? superScaleWords * 4 : 4;
  const quantBytes = quantWords[dtype] * 4;
  const blocks = elements / blockElements;
  const { read, scales: writeScales } = packings[dtype];
  const write = quantBytes === 32 ? writeBytes : writeNibbles;
  const levels = new Uint8Array(blockElements);
  for (let index = 0; index < count; index++) {
    const at = index * bytes;
    writeScales(gguf, at, scales, index * scaleBytes);
    for (let block = 0; block < blocks; block++) {
      read(gguf, at, block, levels);
      write(levels, quants, (index * blocks + block) * quantBytes, quantBytes);
    }
  }
  return { quants, scales };
}

function writeBytes(levels: Uint8Array, out: Uint8Array, to: number): void {
  out.set(levels, to);
}

/** The low four bits, then what is above them. */
function writeNibbles(levels: Uint8Array, out: Uint8Array, to: number, bytes: number): void {
  for (let i = 0; i < 16; i++) {
    out[to + i] = ((levels[i] as number) & 15) | (((levels[i + 16] as number) & 15) << 4);
  }
  if (bytes === 16) return;
  const bits = bytes === 20 ? 1 : 2;
  const perByte = 8 / bits;
  for (let i = 0; i < blockElements; i += perByte) {
    let byte = 0;
    for (let j = 0; j < perByte; j++) byte |= ((levels[i + j] as number) >> 4) << (j * bits);
    out[to + 16 + i / perByte] = byte;
  }
}

/** Nibbles of 32 elements in 16 bytes. */
const readNibbles =
  (offset: number): QuantReader =>
  (gguf, at, _block, quants) => {
    for (let i = 0; i < 16; i++) {
      const byte = gguf[at + offset + i] as number;
      quants[i] = byte & 15;
      quants[i + 16] = byte >> 4;
    }
  };

/** The same with fifth bits in the four bytes in front. */
const readFives =
  (offset: number): QuantReader =>
  (gguf, at, block, quants) => {
    readNibbles(offset + 4)(gguf, at, block, quants);
    for (let i = 0; i < blockElements; i++) {
      const fifth = ((gguf[at + offset + (i >> 3)] as number) >> (i & 7)) & 1;
      quants[i] = (quants[i] as number) | (fifth << 4);
    }
  };

/** Nibbles of 256 elements: 32 bytes hold block 2n in their low and block 2n + 1 in their high halves. */
const readSuperNibbles =
  (offset: number): QuantReader =>
  (gguf, at, block, quants) => {
    const from = at + offset + (block >> 1) * 32;
    const shift = (block & 1) * 4;
    for (let i = 0; i < blockElements; i++) quants[i] = ((gguf[from + i] as number) >> shift) & 15;
  };

const readQ5K: QuantReader = (gguf, at, block, quants) => {
  readSuperNibbles(48)(gguf, at, block, quants);
  for (let i = 0; i < blockElements; i++) {
    quants[i] = (quants[i] as number) | ((((gguf[at + 16 + i] as number) >> block) & 1) << 4);
  }
};

const readQ6K: QuantReader = (gguf, at, block, quants) => {
  const lows = at + (block >> 2) * 64 + (block & 1) * 32;
  const lowShift = (block & 2) * 2;
  const highs = at + 128 + (block >> 2) * 32;
  const highShift = (block & 3) * 2;
  for (let i = 0; i < blockElements; i++) {
    const low = ((gguf[lows + i] as number) >> lowShift) & 15;
    quants[i] = low | ((((gguf[highs + i] as number) >> highShift) & 3) << 4);
  }
};

const readQ8: QuantReader = (gguf, at, _block, quants) => {
  for (let i = 0; i < blockElements; i++) quants[i] = gguf[at + 2 + i] as number;
};

/** The first bytes of the block are the scale, or scale and minimum. */
const headScales =
  (bytes: 2 | 4): Packing['scales'] =>
  (gguf, at, out, to) => {
    for (let i = 0; i < bytes; i++) out[to + i] = gguf[at + i] as number;
  };

const affineSuperScales: Packing['scales'] = (gguf, at, out, to) => {
  headScales(4)(gguf, at, out, to);
  for (let block = 0; block < superElements / blockElements; block++) {
    out[to + 4 + 2 * block] = kScale(gguf, at + 4, block);
    out[to + 5 + 2 * block] = kMinimum(gguf, at + 4, block);
  }
};

const q6Scales: Packing['scales'] = (gguf, at, out, to) => {
  headScales(2)(gguf, at + 208, out, to);
  for (let half = 0; half < 16; half++) out[to + 4 + half] = gguf[at + 192 + half] as number;
};

const packings: Readonly<Record<QuantizedDtype, Packing>> = {
  q4_0: { read: readNibbles(2), scales: headScales(2) },
  q4_1: { read: readNibbles(4), scales: headScales(4) },
  q5_0: { read: readFives(2), scales: headScales(2) },
  q5_1: { read: readFives(4), scales: headScales(4) },
  q8_0: { read: readQ8, scales: headScales(2) },
  q4_k: { read: readSuperNibbles(16), scales: affineSuperScales },
  q5_k: { read: readQ5K, scales: affineSuperScales },
  q6_k: { read: readQ6K, scales: q6Scales },
};

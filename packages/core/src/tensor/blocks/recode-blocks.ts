import { ArgumentError } from '../../errors.ts';
import type { QuantizedDtype } from '../dtype.ts';
import { type BlockType, blockSizes } from './block-type.ts';
import { q3Level, q3Scale } from './k-blocks.ts';
import { iq4Levels } from './plain-blocks.ts';

/** Writes the same numbers as a block of another type. */
type BlockRecoder = (bytes: Uint8Array, at: number, out: Uint8Array, to: number) => void;

/** IQ4_NL's levels are whole numbers of eight bits. */
const iq4ToQ8: BlockRecoder = (bytes, at, out, to) => {
  out.set(bytes.subarray(at, at + 2), to);
  for (let i = 0; i < 16; i++) {
    const byte = bytes[at + 2 + i] as number;
    out[to + 2 + i] = iq4Levels[byte & 15] as number;
    out[to + 18 + i] = iq4Levels[byte >> 4] as number;
  }
};

/** Q3_K's quants (-4 to 3) and scales (-32 to 31) are some of Q6_K's. */
const q3ToQ6: BlockRecoder = (bytes, at, out, to) => {
  for (let element = 0; element < 256; element++) {
    const level = q3Level(bytes, at, element) + 32;
    const block = element >> 5;
    const i = element & 31;
    const low = to + (block >> 2) * 64 + (block & 1) * 32 + i;
    const high = to + 128 + (block >> 2) * 32 + i;
    out[low] = (out[low] as number) | ((level & 15) << ((block & 2) * 2));
    out[high] = (out[high] as number) | ((level >> 4) << ((block & 3) * 2));
  }
  for (let sub = 0; sub < 16; sub++) out[to + 192 + sub] = q3Scale(bytes, at, sub);
  out.set(bytes.subarray(at + 108, at + 110), to + 208);
};

const recodings: Partial<Record<BlockType, { readonly to: QuantizedDtype; readonly recode: BlockRecoder }>> = {
  iq4_nl: { to: 'q8_0', recode: iq4ToQ8 },
  q3_k: { to: 'q6_k', recode: q3ToQ6 },
};

/** The type whose blocks can hold the numbers of another, bit for bit, where kernels read only the former. */
export function recodedType(type: BlockType): QuantizedDtype | undefined {
  return recodings[type]?.to;
}

/**
 * Blocks of a GGUF file as blocks of {@link recodedType}, with the same numbers to the last bit.
 * @throws ArgumentError for a type that has no such other, or bytes that are not whole blocks
 */
export function recodeBlocks(type: BlockType, bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const recoding = recodings[type];
  if (!recoding) throw new ArgumentError('recodeBlocks: type', type, Object.keys(recodings).join(', '));
  const size = blockSizes[type].bytes;
  const blocks = bytes.byteLength / size;
  if (!Number.isInteger(blocks)) {
    throw new ArgumentError(
      'recodeBlocks: bytes',
      `${bytes.byteLength} bytes`,
      `whole blocks of ${size} bytes (${type})`,
    );
  }
  const recodedSize = blockSizes[recoding.to].bytes;
  const out = new Uint8Array(blocks * recodedSize);
  for (let block = 0; block < blocks; block++) recoding.recode(bytes, block * size, out, block * recodedSize);
  return out;
}

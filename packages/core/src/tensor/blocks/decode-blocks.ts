import { ArgumentError, ShapeError } from '../../errors.ts';
import { type BlockDecoder, type BlockType, blockSizes, blockTypes, isBlockType } from './block-type.ts';
import { decodeQ2K, decodeQ3K, decodeQ4K, decodeQ5K, decodeQ6K } from './k-blocks.ts';
import { decodeIq4Nl, decodeQ4_0, decodeQ4_1, decodeQ5_0, decodeQ5_1, decodeQ8_0 } from './plain-blocks.ts';

const decoders: Readonly<Record<BlockType, BlockDecoder>> = {
  q4_0: decodeQ4_0,
  q4_1: decodeQ4_1,
  q5_0: decodeQ5_0,
  q5_1: decodeQ5_1,
  q8_0: decodeQ8_0,
  iq4_nl: decodeIq4Nl,
  q2_k: decodeQ2K,
  q3_k: decodeQ3K,
  q4_k: decodeQ4K,
  q5_k: decodeQ5K,
  q6_k: decodeQ6K,
};

/**
 * The numbers of quantized blocks as a GGUF file holds them, on the host: f32, equal to the last bit to those of the `gguf`
 * Python package.
 *
 * @param bytes Whole blocks, one after another.
 * @param out Where the numbers go; as many as the blocks have elements.
 * @throws ArgumentError for a type that is not known, or bytes that are not whole blocks.
 * @throws ShapeError where `out` has another length.
 */
export function decodeBlocks(type: BlockType, bytes: Uint8Array, out?: Float32Array): Float32Array {
  if (!isBlockType(type)) throw new ArgumentError('decodeBlocks: type', type, blockTypes.join(', '));
  const size = blockSizes[type];
  const blocks = bytes.byteLength / size.bytes;
  if (!Number.isInteger(blocks)) {
    const allowed = `whole blocks of ${size.bytes} bytes (${type})`;
    throw new ArgumentError('decodeBlocks: bytes', `${bytes.byteLength} bytes`, allowed);
  }
  const target = out ?? new Float32Array(blocks * size.elements);
  if (target.length !== blocks * size.elements) {
    throw new ShapeError('decodeBlocks', `out has ${target.length} elements, the blocks ${blocks * size.elements}.`);
  }
  const decode = decoders[type];
  for (let block = 0; block < blocks; block++) decode(bytes, block * size.bytes, target, block * size.elements);
  return target;
}

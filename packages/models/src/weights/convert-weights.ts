import { bfloatBitsToFloats, decodeBlocks, floatsToHalfBits, halfBitsToFloats, isBlockType } from '@saccade/core';
import type { WeightInfo } from './types.ts';
import { WeightFileError } from './weight-file-error.ts';
import { weightUnits } from './weight-table.ts';

/** Elements that are converted at once: what stands between file and result stays small. A multiple of every block. */
const partElements = 1 << 16;

/**
 * Converts the bytes of a tensor, or of whole rows of it, to another type. To f32 every conversion is exact; to f16 numbers are
 * rounded to nearest even.
 * @throws WeightFileError `out-of-range` where a number has no finite f16
 */
export function convertWeights(
  bytes: Uint8Array<ArrayBuffer>,
  { name, dtype }: Pick<WeightInfo, 'name' | 'dtype'>,
  to: 'f32' | 'f16',
): Uint8Array<ArrayBuffer> {
  const unit = weightUnits[dtype];
  const elements = (bytes.byteLength / unit.bytes) * unit.elements;
  const source = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const floats = new Float32Array(to === 'f32' ? elements : Math.min(elements, partElements));
  const halves = new Uint16Array(to === 'f16' ? elements : 0);
  for (let start = 0; start < elements; start += partElements) {
    const end = Math.min(start + partElements, elements);
    const part = source.subarray((start / unit.elements) * unit.bytes, (end / unit.elements) * unit.bytes);
    if (to === 'f32') {
      toFloats(part, dtype, floats.subarray(start, end));
      continue;
    }
    const numbers = floats.subarray(0, end - start);
    toFloats(part, dtype, numbers);
    const target = halves.subarray(start, end);
    floatsToHalfBits(numbers, target);
    if (target.some((bits) => (bits & 0x7c00) === 0x7c00)) {
      throw new WeightFileError(
        'out-of-range',
        `${name} (${dtype}) holds a number that f16 cannot hold (over 65504, or not finite); load it with dtype: 'f32'.`,
      );
    }
  }
  return new Uint8Array((to === 'f32' ? floats : halves).buffer);
}

function toFloats(bytes: Uint8Array<ArrayBuffer>, dtype: WeightInfo['dtype'], out: Float32Array): void {
  if (isBlockType(dtype)) {
    decodeBlocks(dtype, bytes, out);
    return;
  }
  // A copy starts at a whole word.
  const { buffer } = bytes.slice();
  if (dtype === 'f32') out.set(new Float32Array(buffer));
  else if (dtype === 'f16') halfBitsToFloats(new Uint16Array(buffer), out);
  else bfloatBitsToFloats(new Uint16Array(buffer), out);
}

import { describe, expect, it } from 'vitest';
import {
  ArgumentError,
  type BlockType,
  blockSizes,
  blockTypes,
  decodeBlocks,
  recodeBlocks,
  recodedType,
  ShapeError,
} from '../src/index.ts';
import { goldenTensors } from './golden-tensors.ts';

const bitsOf = (values: Float32Array) => new Uint32Array(values.buffer, values.byteOffset, values.length);

describe('decodeBlocks', () => {
  it.each(blockTypes)('%s: equals the gguf package to the last bit', (type) => {
    const golden = goldenTensors('dequantize');
    const blocks = golden(`${type}.blocks`);
    const values = golden(`${type}.values`);
    expect(values.shape[1]).toBe(blockSizes[type].elements);
    const decoded = decodeBlocks(type, blocks.data as Uint8Array);
    expect(bitsOf(decoded)).toEqual(bitsOf(values.data as Float32Array));
  });

  it('writes into a part of a larger array', () => {
    const golden = goldenTensors('dequantize');
    const { data } = golden('q5_k.blocks');
    const out = new Float32Array(600).fill(7);
    decodeBlocks('q5_k', (data as Uint8Array).subarray(176, 2 * 176), out.subarray(300, 556));
    expect([...out.subarray(300, 556)]).toEqual([...golden('q5_k.values').data.slice(256, 512)]);
    expect([out[299], out[556]]).toEqual([7, 7]);
  });

  it.each(['iq4_nl', 'q3_k'] as const)('%s: its recoded blocks are the same numbers, to the last bit', (type) => {
    const blocks = goldenTensors('dequantize')(`${type}.blocks`).data as Uint8Array;
    const recoded = decodeBlocks(recodedType(type) as BlockType, recodeBlocks(type, blocks));
    expect(bitsOf(recoded)).toEqual(bitsOf(decodeBlocks(type, blocks)));
    expect(() => recodeBlocks(type, blocks.subarray(1))).toThrow(ArgumentError);
  });

  it('refuses what is not whole blocks', () => {
    expect(() => recodeBlocks('q2_k', new Uint8Array(84))).toThrow(/allowed: iq4_nl, q3_k/);
    expect(() => decodeBlocks('q6_k', new Uint8Array(211))).toThrow(ArgumentError);
    expect(() => decodeBlocks('q3_k', new Uint8Array(110), new Float32Array(255))).toThrow(ShapeError);
    expect(() => decodeBlocks('iq1_s' as BlockType, new Uint8Array(0))).toThrow(/allowed: q4_0, .*q6_k/);
  });
});

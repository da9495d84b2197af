import { readFileSync } from 'node:fs';
import { ArgumentError, type BlockType, blockSizes, blockTypes, decodeBlocks } from '@saccade/core';
import { parseGoldenTensors } from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import { blobSource } from '../src/weights/blob-source.ts';
import { convertWeights } from '../src/weights/convert-weights.ts';
import { openGguf } from '../src/weights/gguf/gguf-file.ts';
import { type LoadDtype, loadableWeights } from '../src/weights/loadable-weights.ts';
import type { WeightFile } from '../src/weights/types.ts';
import { WeightFileError } from '../src/weights/weight-file-error.ts';
import { ggufBytes } from './weight-writers.ts';

/** Blocks and their numbers by the `gguf` Python package. */
const golden = parseGoldenTensors(
  readFileSync(new URL('../../core/test/golden/dequantize.safetensors', import.meta.url)),
);

/** ggml's numbers of the types. */
const typeNumbers: Readonly<Record<BlockType | 'f32' | 'f16' | 'bf16', number>> = {
  f32: 0,
  f16: 1,
  q4_0: 2,
  q4_1: 3,
  q5_0: 6,
  q5_1: 7,
  q8_0: 8,
  q2_k: 10,
  q3_k: 11,
  q4_k: 12,
  q5_k: 13,
  q6_k: 14,
  iq4_nl: 20,
  bf16: 30,
};

interface Content {
  readonly name: string;
  readonly type: keyof typeof typeNumbers;
  /** Outermost first. */
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** A GGUF file with these tensors. */
async function ggufWith(contents: readonly Content[]): Promise<WeightFile> {
  let offset = 0;
  const tensors = contents.map(({ name, type, shape, bytes }) => {
    const tensor = { name, dimensions: [...shape].reverse(), type: typeNumbers[type], offset };
    offset = Math.ceil((offset + bytes.byteLength) / 32) * 32;
    return tensor;
  });
  const data = new Uint8Array(offset);
  for (const [index, { bytes }] of contents.entries()) data.set(bytes, tensors[index]?.offset);
  return openGguf(blobSource(new Blob([ggufBytes({ tensors, data })]), 'test.gguf'));
}

function blocksOf(type: BlockType): Content {
  const { data, shape } = golden(`${type}.blocks`);
  const rows = 16;
  const columns = ((shape[0] as number) / rows) * blockSizes[type].elements;
  return { name: type, type, shape: [rows, columns], bytes: data as Uint8Array };
}

const bitsOf = (bytes: Uint8Array) => [...new Uint32Array(bytes.slice().buffer)];
const open = async (contents: readonly Content[], dtype?: LoadDtype, notices: string[] = []) =>
  loadableWeights(await ggufWith(contents), { dtype, onNotice: (line) => notices.push(line) });

describe('weights of a GGUF file', () => {
  it.each(blockTypes)('%s as f32 are the numbers of the gguf package, to the last bit', async (type) => {
    const file = await open([blocksOf(type)], 'f32');
    const values = golden(`${type}.values`).data as Float32Array;
    expect(file.info(type)).toMatchObject({ dtype: 'f32', byteLength: values.byteLength });
    const bits = bitsOf(new Uint8Array(values.slice().buffer));
    expect(bitsOf(await file.read(type))).toEqual(bits);
    const columns = values.length / 16;
    expect(bitsOf(await file.read(type, { start: 3, end: 5 }))).toEqual(bits.slice(3 * columns, 5 * columns));
    await file.close();
  });

  it('stay as they are where kernels read them, else they are converted with a notice of types and memory', async () => {
    const notices: string[] = [];
    const bytes = new Uint8Array(Float32Array.of(1, 2, -3, 0.1).buffer);
    const contents: Content[] = [
      ...(['q4_1', 'q2_k', 'q3_k'] as const).map((type) => ({ ...blocksOf(type), bytes: moderate(type) })),
      { name: 'vector', type: 'f32', shape: [4], bytes },
    ];
    const file = await open(contents, undefined, notices);
    expect(file.tensorNames().map((name) => file.info(name).dtype)).toEqual(['q4_1', 'f16', 'q6_k', 'f32']);
    expect(await file.read('q4_1')).toEqual(moderate('q4_1'));
    expect(decodeBlocks('q6_k', await file.read('q3_k'))).toEqual(decodeBlocks('q3_k', moderate('q3_k')));
    expect(notices).toEqual([
      'quantized tensors are converted (1 of Q2_K to f16, 1 of Q3_K to q6_k): 0.0 MB of GPU memory instead of 0.0 MB',
    ]);
  });

  it('as f16 are rounded to nearest even, vectors are f32', async () => {
    const numbers = Float32Array.of(1 + 2 ** -11, 1 + 3 * 2 ** -11, -65504, 2 ** -25, 1.0001 * 2 ** -25, 0.1);
    const matrix: Content = { name: 'm', type: 'f32', shape: [2, 3], bytes: new Uint8Array(numbers.buffer) };
    const vector: Content = { name: 'v', type: 'bf16', shape: [2], bytes: Uint8Array.of(0x80, 0x3f, 0x49, 0xc0) };
    const file = await open([matrix, vector], 'f16');
    const halves = [...new Uint16Array((await file.read('m')).buffer)];
    expect(halves).toEqual([0x3c00, 0x3c02, 0xfbff, 0, 1, 0x2e66]);
    expect([...new Float32Array((await file.read('v')).buffer)]).toEqual([1, -3.140625]);
  });

  it('that f16 cannot hold are an error that says what to do', async () => {
    const bytes = new Uint8Array(Float32Array.of(1, 65520).buffer);
    const file = await open([{ name: 'm', type: 'f32', shape: [1, 2], bytes }], 'f16');
    const error = await file.read('m').catch((reason: unknown) => reason);
    expect(error).toMatchObject({ name: 'WeightFileError', code: 'out-of-range' });
    expect((error as Error).message).toMatch(/^m \(f32\) holds .* load it with dtype: 'f32'/);
  });

  it('are refused in types and rows that do not exist', async () => {
    await expect(open([], 'f64' as LoadDtype)).rejects.toThrow(ArgumentError);
    const file = await open([blocksOf('q4_k')]);
    await expect(file.read('q4_k', { start: 0, end: 17 })).rejects.toThrow(ArgumentError);
    await expect(file.read('q4_k', { start: 2, end: 1 })).rejects.toThrow(ArgumentError);
    await file.close();
    await expect(file.read('q4_k')).rejects.toThrow(WeightFileError);
  });
});

it('converts more than one part', () => {
  const bytes = new Uint8Array(Uint16Array.from({ length: 200_003 }, (_, at) => at % 0x7c00).buffer);
  const wide = convertWeights(bytes, { name: 'x', dtype: 'f16' }, 'f32');
  const back = convertWeights(wide, { name: 'x', dtype: 'f32' }, 'f16');
  expect(Buffer.compare(back, bytes)).toBe(0);
});

/** Golden blocks without their random scales, whose numbers f16 may not hold. */
function moderate(type: 'q4_1' | 'q2_k' | 'q3_k'): Uint8Array {
  const { data, shape } = golden(`${type}.blocks`);
  const [, blockBytes] = shape as [number, number];
  return (data as Uint8Array).map((byte, at) => {
    const inBlock = at % blockBytes;
    const high = { q4_1: [1, 3], q2_k: [81, 83], q3_k: [109] }[type].includes(inBlock);
    return high ? 0x2c : byte;
  });
}

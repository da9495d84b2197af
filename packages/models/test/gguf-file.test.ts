import { readFileSync } from 'node:fs';
import { gguf } from '@huggingface/gguf';
import { seededRandom } from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import { blobSource } from '../src/weights/blob-source.ts';
import { openGguf } from '../src/weights/gguf/gguf-file.ts';
import { openWeights } from '../src/weights/open-weights.ts';
import type { ByteSource } from '../src/weights/types.ts';
import { WeightFileError } from '../src/weights/weight-file-error.ts';
import { goldenModel, goldenPath } from './golden-folder.ts';
import { type ByteWriter, type GgufParts, ggufBytes } from './weight-writers.ts';

const path = goldenPath('llama-gguf/model.gguf');
const bytes = new Uint8Array(readFileSync(path));
const open = (content: Uint8Array<ArrayBuffer>) => openGguf(blobSource(new Blob([content]), 'test.gguf'));
const openParts = (parts: GgufParts) => open(ggufBytes(parts));

async function failure(opening: Promise<unknown>): Promise<WeightFileError> {
  const error = await opening.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!WeightFileError.isInstance(error)) throw new Error(`expected a WeightFileError, got ${String(error)}`);
  return error;
}

describe('a GGUF file written by the gguf package', () => {
  it('has the metadata and tensors that another reader finds', async () => {
    const file = await openWeights(await goldenModel('llama-gguf/model.gguf'));
    const theirs = await gguf(path, { allowLocalFile: true });
    const { version, tensor_count: _tensors, kv_count: count, ...values } = theirs.metadata;
    expect(version).toBe(3);
    expect(file.metadata.size).toBe(Number(count));
    const plain = (value: unknown) => (typeof value === 'bigint' ? Number(value) : value);
    for (const [key, value] of Object.entries(values)) expect(file.metadata.get(key), key).toEqual(plain(value));

    const byStoredName = new Map(file.tensorNames().map((name) => [file.info(name).storedName, file.info(name)]));
    expect(byStoredName.size).toBe(theirs.tensorInfos.length);
    for (const { name, shape, offset } of theirs.tensorInfos) {
      const info = byStoredName.get(name);
      if (!info) throw new Error(`${name} is missing`);
      expect(info.shape).toEqual(shape.map(Number).reverse());
      const start = Number(theirs.tensorDataOffset + offset);
      expect(Buffer.compare(await file.read(info.name), bytes.subarray(start, start + info.byteLength))).toBe(0);
    }
    await file.close();
  });

  it('gives canonical names, and types as they are stored', async () => {
    const file = await open(bytes);
    expect(file.has('lm_head.weight')).toBe(false);
    const described = [
      'model.embed_tokens',
      'model.layers.1.self_attn.q_proj',
      'model.layers.0.self_attn.o_proj',
      'model.norm',
    ].map((name) => {
      const { storedName, shape, dtype } = file.info(`${name}.weight`);
      return [storedName, shape, dtype];
    });
    expect(described).toEqual([
      ['token_embd.weight', [700, 64], 'q8_0'],
      ['blk.1.attn_q.weight', [64, 64], 'q4_1'],
      ['blk.0.attn_output.weight', [64, 64], 'q4_0'],
      ['output_norm.weight', [64], 'f32'],
    ]);
  });

  it('is read range by range', async () => {
    const reads: number[] = [];
    const blob = blobSource(new Blob([bytes]), 'test.gguf');
    const counting: ByteSource = {
      ...blob,
      read(offset, length) {
        reads.push(length);
        return blob.read(offset, length);
      },
    };
    const file = await openGguf(counting);
    reads.length = 0;
    await file.read('model.norm.weight');
    expect(reads).toEqual([256]);
  });

  it('says which tensor is missing, and that it was closed', async () => {
    const file = await openWeights(await goldenModel('llama-gguf'));
    expect((await failure(file.read('model.layers.9.mlp.up_proj.weight'))).message).toMatch(
      'has no tensor "model.layers.9.mlp.up_proj.weight"',
    );
    await file.close();
    await file.close();
    expect((await failure(file.read('model.norm.weight'))).code).toBe('closed');
  });
});

describe('a GGUF file that is cut short', () => {
  it('is refused at every point', async () => {
    const cuts = [
      ...Array.from({ length: 200 }, (_, cut) => cut),
      ...Array.from({ length: 200 }, (_, n) => 200 + n * 648),
      bytes.length - 1,
    ];
    for (const cut of cuts) {
      const { code, message } = await failure(open(bytes.slice(0, cut)));
      expect(code, `cut at ${cut}`).toBe(cut < 8 ? 'not-a-weight-file' : 'truncated');
      expect(message).toContain(
        cut < 8 ? 'Models are GGUF or safetensors files' : 'The file is incomplete: get it again.',
      );
    }
  });
});

describe('a GGUF file that lies', () => {
  const tensor = { name: 'x', dimensions: [32], type: 0, offset: 0 };
  const array = (type: number, count: number | bigint) => (writer: ByteWriter) => writer.u32(type).u64(count);
  const cases: readonly (readonly [string, GgufParts, string, string])[] = [
    ['version 1', { version: 1 }, 'unsupported', 'version 1'],
    ['big-endian', { version: 0x03000000 }, 'unsupported', 'big-endian'],
    ['2^60 tensors', { tensorCount: 2n ** 60n }, 'corrupt', '1152921504606846976 tensors'],
    ['2^50 tensors', { tensorCount: 2n ** 50n }, 'truncated', '1125899906842624 tensors'],
    ['2^40 values', { valueCount: 2n ** 40n }, 'truncated', 'metadata values'],
    ['a string of 2^63 bytes', { values: [['a', 8, (w) => w.u64(2n ** 63n)]] }, 'corrupt', 'bytes in a string'],
    ['a string of 2^40 bytes', { values: [['a', 8, (w) => w.u64(2n ** 40n)]] }, 'truncated', 'test.gguf ends at'],
    ['an array of 2^52 numbers', { values: [['a', 9, array(4, 2n ** 52n)]] }, 'truncated', 'array of 4503599627370496'],
    ['an array of 2^60 arrays', { values: [['a', 9, array(9, 2n ** 60n)]] }, 'corrupt', 'elements in an array'],
    [
      'arrays six deep',
      { values: [['a', 9, (w) => [9, 9, 9, 9, 9, 4].map((type) => array(type, 1)(w))]], data: 64 },
      'corrupt',
      'nests arrays more than 4 deep',
    ],
    ['an unknown type of value', { values: [['a', 99, (w) => w.u32(0)]] }, 'corrupt', 'unknown type 99'],
    [
      'a key twice',
      {
        values: [
          ['a', 4, (w) => w.u32(1)],
          ['a', 4, (w) => w.u32(1)],
        ],
      },
      'corrupt',
      '"a" twice',
    ],
    ['alignment 0', { values: [['general.alignment', 4, (w) => w.u32(0)]] }, 'corrupt', 'alignment'],
    ['alignment 48', { values: [['general.alignment', 4, (w) => w.u32(48)]] }, 'corrupt', 'alignment'],
    ['no dimensions', { tensors: [{ ...tensor, dimensions: [] }], data: 128 }, 'corrupt', '0 dimensions'],
    [
      'nine dimensions',
      { tensors: [{ ...tensor, dimensions: Array(9).fill(1) }], data: 128 },
      'corrupt',
      '9 dimensions',
    ],
    ['2^60 elements', { tensors: [{ ...tensor, dimensions: [2n ** 60n] }], data: 128 }, 'corrupt', 'elements along'],
    [
      'sizes whose product overflows',
      { tensors: [{ ...tensor, dimensions: [2 ** 40, 2 ** 40] }], data: 128 },
      'corrupt',
      'cannot have the shape',
    ],
    ['no elements', { tensors: [{ ...tensor, dimensions: [0] }], data: 128 }, 'corrupt', 'cannot have the shape'],
    [
      'half a block',
      { tensors: [{ ...tensor, dimensions: [48], type: 8 }], data: 128 },
      'corrupt',
      'cannot have the shape',
    ],
    [
      'an offset outside the file',
      { tensors: [{ ...tensor, offset: 2 ** 40 }], data: 128 },
      'truncated',
      '"x" ends at',
    ],
    [
      'an offset of 2^63',
      { tensors: [{ ...tensor, offset: 2n ** 63n }], data: 128 },
      'corrupt',
      'bytes before a tensor',
    ],
    ['an offset out of line', { tensors: [{ ...tensor, offset: 4 }], data: 256 }, 'corrupt', 'out of line'],
    ['a tensor larger than the data', { tensors: [tensor], data: 127 }, 'truncated', '"x" ends at'],
    [
      'tensors inside one another',
      { tensors: [tensor, { ...tensor, name: 'y', offset: 96 }], data: 256 },
      'corrupt',
      'inside another',
    ],
    ['a tensor twice', { tensors: [tensor, { ...tensor, offset: 128 }], data: 256 }, 'corrupt', '"x" twice'],
    [
      'a type that is not supported',
      { tensors: [{ ...tensor, type: 23 }], data: 256 },
      'unsupported-type',
      '"x" has the type IQ4_XS',
    ],
    [
      'a type that does not exist',
      { tensors: [{ ...tensor, type: 4000 }], data: 256 },
      'unsupported-type',
      '"x" has the type number 4000',
    ],
  ];

  it.each(cases)('is refused: %s', async (_what, parts, code, message) => {
    const error = await failure(openParts(parts));
    expect(error.code).toBe(code);
    expect(error.message).toContain(message);
  });

  it('is accepted where it tells the truth', async () => {
    const file = await openParts({ tensors: [tensor, { ...tensor, name: 'y', offset: 128 }], data: 256 });
    expect([...(await file.read('y'))].slice(0, 3)).toEqual([128, 129, 130]);
  });

  it('with 2,000 random changes of its header never does worse than a typed error', async () => {
    const random = seededRandom(5);
    const headerBytes = 30_000;
    let refused = 0;
    for (let round = 0; round < 2000; round++) {
      const changed = bytes.slice();
      for (let change = 0; change <= random() * 4; change++) {
        const near = random() < 0.5 ? 1200 : headerBytes;
        changed[Math.floor(random() * near)] = Math.floor(random() * 256);
      }
      try {
        const file = await open(changed);
        for (const name of file.tensorNames()) await file.read(name);
      } catch (error) {
        if (!WeightFileError.isInstance(error)) throw error;
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(100);
  });
});

import { readFileSync } from 'node:fs';
import { seededRandom } from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import { blobSource } from '../src/weights/blob-source.ts';
import { openWeights } from '../src/weights/open-weights.ts';
import { openSafetensors } from '../src/weights/safetensors/safetensors-file.ts';
import { openShardedSafetensors } from '../src/weights/safetensors/sharded-safetensors.ts';
import { WeightFileError } from '../src/weights/weight-file-error.ts';
import { goldenModel, goldenPath } from './golden-folder.ts';
import { safetensorsBytes } from './weight-writers.ts';

const bytes = new Uint8Array(readFileSync(goldenPath('llama-tied-bf16/model.safetensors')));
const open = (content: Uint8Array<ArrayBuffer>) => openSafetensors(blobSource(new Blob([content]), 'test.safetensors'));

async function failure(opening: Promise<unknown>): Promise<WeightFileError> {
  const error = await opening.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!WeightFileError.isInstance(error)) throw new Error(`expected a WeightFileError, got ${String(error)}`);
  return error;
}

describe('a safetensors file written by transformers', () => {
  it('is described as it was saved', async () => {
    const file = await openWeights(await goldenModel('llama-tied-bf16'));
    expect(file.format).toBe('safetensors');
    expect(file.metadata.get('format')).toBe('pt');
    expect(file.tensorNames()).toHaveLength(20);
    expect(file.info('model.layers.1.self_attn.k_proj.weight')).toEqual({
      name: 'model.layers.1.self_attn.k_proj.weight',
      storedName: 'model.layers.1.self_attn.k_proj.weight',
      shape: [32, 64],
      dtype: 'bf16',
      byteLength: 4096,
    });
    await file.close();
  });

  it('gives the bytes that its header places', async () => {
    const file = await open(bytes);
    const headerBytes = new DataView(bytes.buffer).getUint32(0, true);
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + headerBytes)));
    for (const name of file.tensorNames()) {
      const [begin, end] = header[name].data_offsets.map((offset: number) => offset + 8 + headerBytes);
      expect(Buffer.compare(await file.read(name), bytes.subarray(begin, end))).toBe(0);
    }
  });

  it('is refused when it is cut short, at every point', async () => {
    const cuts = Array.from({ length: 300 }, (_, n) =>
      n < 100 ? n : 100 + Math.floor(((n - 100) / 200) * (bytes.length - 100)),
    );
    for (const cut of cuts) {
      const { code } = await failure(open(bytes.slice(0, cut)));
      expect(code, `cut at ${cut}`).toBe(cut < 8 ? 'not-a-weight-file' : 'truncated');
    }
  });

  it('with 2,000 random changes of its header never does worse than a typed error', async () => {
    const random = seededRandom(6);
    let refused = 0;
    for (let round = 0; round < 2000; round++) {
      const changed = bytes.slice();
      for (let change = 0; change <= random() * 4; change++)
        changed[Math.floor(random() * 2400)] = Math.floor(random() * 256);
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

describe('a safetensors file that lies', () => {
  const x = { dtype: 'F32', shape: [2, 4], data_offsets: [0, 32] };
  const cases: readonly (readonly [string, unknown, number, string, string])[] = [
    ['no JSON', '{"x":', 32, 'corrupt', 'not JSON'],
    ['a list', [], 32, 'corrupt', 'not an object'],
    ['metadata that are no texts', { __metadata__: { a: 1 }, x }, 32, 'corrupt', 'no text for "a"'],
    ['2^60 elements', { x: { ...x, shape: [2 ** 60] } }, 32, 'corrupt', 'no sound type, shape'],
    ['sizes whose product overflows', { x: { ...x, shape: [2 ** 40, 2 ** 40] } }, 32, 'corrupt', 'has 32 bytes'],
    ['a negative size', { x: { ...x, shape: [-2, -4] } }, 32, 'corrupt', 'no sound type, shape'],
    ['a shape that does not fit', { x: { ...x, shape: [2, 5] } }, 32, 'corrupt', 'has 32 bytes'],
    [
      'offsets outside the file',
      { x: { ...x, shape: [2, 5], data_offsets: [0, 40] } },
      32,
      'truncated',
      'has 32 bytes of tensors',
    ],
    ['offsets in the wrong order', { x: { ...x, data_offsets: [32, 0] } }, 32, 'corrupt', 'no sound type, shape'],
    ['a hole', { x: { ...x, data_offsets: [4, 36] } }, 36, 'corrupt', 'does not begin where'],
    ['an overlap', { x, y: { ...x, data_offsets: [16, 48] } }, 48, 'corrupt', 'does not begin where'],
    ['bytes of no tensor', { x }, 36, 'corrupt', '4 bytes that belong to no tensor'],
    [
      'a name twice',
      `{"x":${JSON.stringify(x)},"x":${JSON.stringify({ ...x, data_offsets: [32, 64] })}}`,
      64,
      'corrupt',
      'does not begin where',
    ],
    ['no offsets', { x: { dtype: 'F32', shape: [1] } }, 4, 'corrupt', 'no sound type, shape'],
  ];

  it.each(cases)('is refused: %s', async (_what, header, data, code, message) => {
    const error = await failure(open(safetensorsBytes(header, data)));
    expect(error.code).toBe(code);
    expect(error.message).toContain(message);
  });

  it('is refused: a header of 2^60 bytes', async () => {
    const content = safetensorsBytes({ x }, 32);
    new DataView(content.buffer).setBigUint64(0, 2n ** 60n, true);
    expect((await failure(open(content))).code).toBe('not-a-weight-file');
  });

  it('is usable but for tensors of a type that is not supported', async () => {
    const file = await open(safetensorsBytes({ x, ids: { dtype: 'I64', shape: [1], data_offsets: [32, 40] } }, 40));
    expect([...(await file.read('x'))].slice(0, 2)).toEqual([0, 1]);
    const error = await failure(file.read('ids'));
    expect(error.code).toBe('unsupported-type');
    expect(error.message).toContain('"ids" has the type I64');
  });
});

describe('a checkpoint in shards', () => {
  const shard = (name: string, data: number) =>
    safetensorsBytes({ [name]: { dtype: 'F32', shape: [2], data_offsets: [0, 8] } }, data);
  const shards: Readonly<Record<string, Uint8Array<ArrayBuffer>>> = {
    'model-00001-of-00002.safetensors': shard('a', 8),
    'model-00002-of-00002.safetensors': shard('b', 8),
  };
  const openShard = async (name: string) => blobSource(new Blob([shards[name] ?? new Uint8Array()]), name);
  const weightMap = { a: 'model-00001-of-00002.safetensors', b: 'model-00002-of-00002.safetensors' };

  it('reads each tensor from its shard', async () => {
    const file = await openShardedSafetensors({ weight_map: weightMap }, openShard);
    expect(file.tensorNames()).toEqual(['a', 'b']);
    expect((await file.read('b')).byteLength).toBe(8);
    await file.close();
  });

  it.each([
    ['a tensor that its shard lacks', { weight_map: { ...weightMap, c: weightMap.a } }, '"c" is not in'],
    ['a shard in another folder', { weight_map: { a: '../model.safetensors' } }, 'no file name for "a"'],
    ['no map', {}, 'no weight_map'],
  ])('is refused: %s', async (_what, index, message) => {
    const error = await failure(openShardedSafetensors(index, openShard));
    expect(error.code).toBe('corrupt');
    expect(error.message).toContain(message);
  });
});

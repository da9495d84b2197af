import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { blockSizes } from '@saccade/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runChild } from './run-child.ts';
import { ggufBytes } from './weight-writers.ts';

const hidden = 1024;
/** Rows of the embedding: files of 60 and 36 MB. */
const vocabularies = { q8_0: 49_152, q2_k: 98_304 };
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'saccade-memory-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A network of one layer with a large embedding of the given type. */
function writeModel(type: 'q8_0' | 'q2_k'): string {
  const vector = ['blk.0.attn_norm', 'blk.0.ffn_norm', 'output_norm'].map((name) => [name, [hidden]] as const);
  const square = ['attn_q', 'attn_k', 'attn_v', 'attn_output', 'ffn_gate', 'ffn_up', 'ffn_down'].map(
    (name) => [`blk.0.${name}`, [hidden, hidden]] as const,
  );
  let offset = 0;
  const tensors = [...vector, ...square, ['token_embd', [hidden, vocabularies[type]]] as const].map(
    ([name, dimensions]) => {
      const elements = dimensions.reduce((product, size) => product * size, 1);
      const plain = dimensions.length === 1;
      const block = blockSizes[type];
      const bytes = plain ? 4 * elements : (elements / block.elements) * block.bytes;
      const tensor = { name: `${name}.weight`, dimensions, type: plain ? 0 : { q8_0: 8, q2_k: 10 }[type], offset };
      offset = Math.ceil((offset + bytes) / 32) * 32;
      return tensor;
    },
  );
  const counts = { embedding_length: hidden, block_count: 1, feed_forward_length: hidden, context_length: 64 };
  const numbers = { ...counts, 'attention.head_count': 16 };
  const path = join(folder, `${type}.gguf`);
  const bytes = ggufBytes({
    values: [
      ['general.architecture', 8, (writer) => writer.text('llama')],
      ...Object.entries(numbers).map(
        ([name, value]) =>
          [`llama.${name}`, 4, (writer: { u32(value: number): unknown }) => writer.u32(value)] as const,
      ),
      ['llama.attention.layer_norm_rms_epsilon', 6, (writer) => writer.u32(0x3727c5ac)],
    ],
    tensors,
    data: new Uint8Array(offset),
  });
  writeFileSync(path, bytes);
  return path;
}

describe('host memory while a model loads', () => {
  it.each(['q8_0', 'q2_k'] as const)(
    'stays under 1.5 times the file: %s',
    async (type) => {
      const path = writeModel(type);
      const { size } = statSync(path);
      const measured = JSON.parse(await runChild('load-in-child.ts', [path])) as Record<
        'hostBytes' | 'weightBytes',
        number
      >;
      // Quantized blocks that no kernel reads take more on the GPU than in the file, but not on the host.
      if (type === 'q2_k') expect(measured.weightBytes).toBeGreaterThan(5 * size);
      expect(measured.hostBytes).toBeLessThan(1.5 * size);
    },
    60_000,
  );
});

import type { MetadataValue, WeightFile } from '../src/weights/types.ts';

/** A GGUF file that has metadata of a tokenizer (`tokenizer.ggml.*`) and nothing else; undefined values are left out. */
export function metadataFile(values: Readonly<Record<string, MetadataValue | undefined>>): WeightFile {
  return {
    format: 'gguf',
    metadata: new Map(
      Object.entries(values).flatMap(([name, value]) =>
        value === undefined ? [] : [[`tokenizer.ggml.${name}`, value] as const],
      ),
    ),
    tensorNames: () => [],
    has: () => false,
    info: () => {
      throw new Error('a tokenizer reads no tensors');
    },
    read: () => Promise.reject(new Error('a tokenizer reads no tensors')),
    close: () => Promise.resolve(),
  };
}

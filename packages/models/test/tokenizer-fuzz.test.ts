import { readFileSync } from 'node:fs';
import { seededRandom } from '@saccade/core/testing';
import { expect, it } from 'vitest';
import { ggufTokenizer } from '../src/tokenizer/gguf/gguf-tokenizer.ts';
import { TokenizerError } from '../src/tokenizer/types.ts';
import type { MetadataValue } from '../src/weights/types.ts';
import { goldenPath } from './golden-folder.ts';
import { metadataFile } from './metadata-file.ts';

type Metadata = Record<string, MetadataValue | undefined>;

const strange: readonly (MetadataValue | undefined)[] = [
  undefined, '', 'x', '\u2581', -1, 0.5, 2 ** 40, Number.NaN, 2n ** 60n, true, [], [[]], [1], ['a'], ['a b c'], '__proto__',
]; // biome-ignore format: values

/** One or two changes: a value replaced, a list cut, or one of its elements replaced or repeated. */
function mutated(metadata: Metadata, random: () => number): Metadata {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const copy = { ...metadata };
  for (let change = 0; change <= random() * 2; change++) {
    const name = pick(Object.keys(metadata));
    const value = copy[name];
    if (!Array.isArray(value) || random() < 0.2) {
      copy[name] = pick(strange);
      continue;
    }
    const list: MetadataValue[] = [...value];
    const index = Math.floor(random() * list.length);
    if (random() < 0.3) list.length = index;
    else list[index] = (random() < 0.5 ? pick(strange) : pick(value)) ?? '';
    copy[name] = list;
  }
  return copy;
}

it.each(['byte-level-llama-bpe', 'sentencepiece-llama-2', 'sentencepiece-gemma', 'wordpiece-cased'])(
  '%s: mutated metadata gives a tokenizer that works, or a typed error',
  (name) => {
    const { gguf } = JSON.parse(readFileSync(goldenPath(`tokenizers/${name}.json`), 'utf8')) as { gguf: Metadata };
    const random = seededRandom(17);
    let refused = 0;
    for (let round = 0; round < 300; round++) {
      const metadata = mutated(gguf, random);
      try {
        const tokenizer = ggufTokenizer(metadataFile(metadata), []);
        const ids = tokenizer.encode('Größe <s> 12  a\n\n🦊');
        for (const id of ids) expect(id).toBeLessThan(tokenizer.vocabularySize + 1);
        expect(typeof tokenizer.decode(ids)).toBe('string');
      } catch (error) {
        if (!TokenizerError.isInstance(error)) throw error;
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(50);
    expect(refused).toBeLessThan(300);
  },
);

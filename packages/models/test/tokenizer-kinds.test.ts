import { readdirSync, readFileSync } from 'node:fs';
import { seededRandom } from '@saccade/core/testing';
import { describe, expect, it } from 'vitest';
import type { ModelFiles } from '../src/resolve/types.ts';
import { makeBackend } from '../src/tokenizer/backend/make-backend.ts';
import { ggufTokenizer } from '../src/tokenizer/gguf/gguf-tokenizer.ts';
import { HuggingFaceTokenizer } from '../src/tokenizer/huggingface-tokenizer.ts';
import type { Tokenizer } from '../src/tokenizer/types.ts';
import { openWeights } from '../src/weights/open-weights.ts';
import type { MetadataValue } from '../src/weights/types.ts';
import { goldenPath } from './golden-folder.ts';
import { metadataFile } from './metadata-file.ts';
import { realModel } from './real-model.ts';

interface Golden {
  readonly tokenizer: unknown;
  /** Without `tokenizer.ggml.` before the names. */
  readonly gguf: Readonly<Record<string, MetadataValue>>;
  readonly ids: readonly (readonly number[])[];
  /** What the ids decode to, where it is not the text. */
  readonly decoded: readonly (string | null)[];
}

const read = <T>(name: string): T => JSON.parse(readFileSync(goldenPath(`tokenizers/${name}.json`), 'utf8')) as T;
const { texts } = read<{ readonly texts: readonly string[] }>('texts');
const kinds = readdirSync(goldenPath('tokenizers'))
  .filter((name) => /^(byte-level|sentencepiece|wordpiece)/.test(name))
  .map((name) => name.replace('.json', ''));

const fromJson = (golden: Golden) =>
  new HuggingFaceTokenizer({
    tokenizer: golden.tokenizer,
    specialTexts: {},
    endOfTextIds: [],
    chatTemplate: undefined,
  });
const fromGguf = (golden: Golden) => ggufTokenizer(metadataFile(golden.gguf), []);

function streamed(tokenizer: Tokenizer, ids: readonly number[]): string[] {
  const stream = tokenizer.decodeStream({ skipSpecialTokens: false });
  return [...ids.map((id) => stream.push(id)), stream.end()];
}

interface GoldenSplits {
  readonly texts: readonly string[];
  readonly splits: readonly { readonly json: { readonly type: string }; readonly pieces: readonly string[][] }[];
}

describe('pre-tokenizers by themselves', () => {
  const { texts: chosen, splits } = read<GoldenSplits>('splits');

  it.each(splits.map(({ json, pieces }) => [JSON.stringify(json), json, pieces] as const))('%s', (_, json, pieces) => {
    const model = { type: 'BPE', vocab: {}, merges: [] };
    const backend = makeBackend({ model, pre_tokenizer: json });
    for (const [index, text] of chosen.entries()) {
      const own = backend.pre_tokenizer?.pre_tokenize(text, { section_index: 0 });
      expect(own, JSON.stringify(text)).toEqual(pieces[index]);
    }
  });
});

it('covers every kind', () => {
  expect(kinds).toHaveLength(10);
  expect(texts).toHaveLength(208);
});

describe.each(kinds)('%s', (name) => {
  const golden = read<Golden>(name);

  it.each([
    ['tokenizer.json', fromJson],
    ['GGUF metadata', fromGguf],
  ] as const)("has Hugging Face's ids on 208 texts, from %s", (_, make) => {
    const tokenizer = make(golden);
    for (const [index, text] of texts.entries()) {
      const ids = golden.ids[index] as number[];
      expect(tokenizer.encode(text), JSON.stringify(text)).toEqual(ids);
      const decoded = tokenizer.decode(ids, { skipSpecialTokens: false });
      expect(decoded, JSON.stringify(text)).toBe(golden.decoded[index] ?? text);
    }
  });

  it('decodes one token at a time to the same text, and never half a character', () => {
    const tokenizer = fromGguf(golden);
    for (const ids of golden.ids) {
      const pieces = streamed(tokenizer, ids);
      const text = tokenizer.decode(ids, { skipSpecialTokens: false });
      expect(pieces.join('')).toBe(text);
      if (!text.includes('\ufffd')) for (const piece of pieces) expect(piece).not.toMatch(/\ufffd|\p{Surrogate}/u);
    }
  });

  it('leaves out ids that are no tokens, which padded vocabularies have', () => {
    const tokenizer = fromGguf(golden);
    const ids = golden.ids[3] as number[];
    expect(tokenizer.decode([...ids, 100_000])).toBe(tokenizer.decode(ids));
    expect(streamed(tokenizer, [100_000, ...ids]).join('')).toBe(streamed(tokenizer, ids).join(''));
  });

  it('agrees with decoding at once on random ids', () => {
    const tokenizer = fromGguf(golden);
    const random = seededRandom(5);
    for (let round = 0; round < 200; round++) {
      const count = 1 + Math.floor(random() * 20);
      const ids = Array.from({ length: count }, () => Math.floor(random() * tokenizer.vocabularySize));
      const text = tokenizer.decode(ids, { skipSpecialTokens: false });
      expect(streamed(tokenizer, ids).join(''), ids.join()).toBe(text);
    }
  });
});

// Large: not fetched for a test.
const gemma = await realModel('google/gemma-3-270m', { sources: ['cache'] });

it.skipIf(!gemma)("the tokenizer of Gemma 3 in its GGUF file has Hugging Face's ids on 208 texts", async () => {
  const weights = await openWeights(gemma as ModelFiles);
  const tokenizer = ggufTokenizer(weights, []);
  await weights.close();
  const golden = read<Pick<Golden, 'ids' | 'decoded'>>('gemma-3');
  for (const [index, text] of texts.entries()) {
    const ids = golden.ids[index] as number[];
    expect(tokenizer.encode(text), JSON.stringify(text)).toEqual(ids);
    expect(streamed(tokenizer, ids).join(''), JSON.stringify(text)).toBe(golden.decoded[index] ?? text);
  }
  expect(tokenizer.specialTokens).toEqual({ bos: 2, eos: 1, pad: 0, unk: 3 });
});

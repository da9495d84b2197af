import type { MetadataValue } from '../../weights/types.ts';
import { TokenizerError } from '../types.ts';
import { shown } from './vocabulary.ts';

/** What a GGUF file means by the name of a pre-tokenizer (`tokenizer.ggml.pre`), as the models' own tokenizer.json has it. */
export interface NamedPreTokenizer {
  readonly normalizer: { readonly type: string } | null;
  readonly preTokenizer: unknown;
  /** Whether a piece of text that is a token is taken whole, whatever the merges say. */
  readonly ignoreMerges: boolean;
  /** Whether the beginning token is put before texts where the file does not say. */
  readonly addBos: boolean;
}

const byteLevel = (useRegex: boolean) => ({
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: useRegex,
});

/** Splits at digits one by one, then as GPT-2 does. */
const digitsThenByteLevel = {
  type: 'Sequence',
  pretokenizers: [{ type: 'Digits', individual_digits: true }, byteLevel(true)],
};

/** Words with the sign before them, numbers by at most so many digits, signs with the line ends behind, white space. */
const wordsAndNumbers = (digits: string) => ({
  type: 'Sequence',
  pretokenizers: [
    {
      type: 'Split',
      pattern: {
        Regex: [
          "(?i:'s|'t|'re|'ve|'m|'ll|'d)",
          '[^\\r\\n\\p{L}\\p{N}]?\\p{L}+',
          `\\p{N}${digits}`,
          ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*',
          '\\s*[\\r\\n]+',
          '\\s+(?!\\S)',
          '\\s+',
        ].join('|'),
      },
      behavior: 'Isolated',
      invert: false,
    },
    byteLevel(false),
  ],
});

const plain = { normalizer: null, ignoreMerges: false, addBos: false };
const composed = { ...plain, normalizer: { type: 'NFC' } };

const gpt2: NamedPreTokenizer = { ...plain, preTokenizer: byteLevel(true) };
const gptNeoX: NamedPreTokenizer = { ...composed, preTokenizer: byteLevel(true) };
const starcoder: NamedPreTokenizer = { ...plain, preTokenizer: digitsThenByteLevel };
const qwen2: NamedPreTokenizer = { ...composed, preTokenizer: wordsAndNumbers('') };
const dbrx: NamedPreTokenizer = { ...plain, preTokenizer: wordsAndNumbers('{1,3}') };
const llama3: NamedPreTokenizer = { ...dbrx, ignoreMerges: true, addBos: true };

const named: ReadonlyMap<string, NamedPreTokenizer> = new Map([
  ['gpt-2', gpt2],
  ['phi-2', gpt2],
  // The tokenizer of GPT-NeoX and Pythia has this name.
  ['olmo', gptNeoX],
  ['mpt', gptNeoX],
  ['smollm', starcoder],
  ['starcoder', starcoder],
  ['qwen2', qwen2],
  ['dbrx', dbrx],
  ['llama-bpe', llama3],
  ['llama-v3', llama3],
  ['llama3', llama3],
]);

/** @throws TokenizerError `unsupported` that lists the names */
export function namedPreTokenizer(name: MetadataValue | undefined): NamedPreTokenizer {
  const found = typeof name === 'string' ? named.get(name) : undefined;
  if (found) return found;
  const given = name === undefined ? 'not named' : shown(name);
  throw new TokenizerError('unsupported', `The pre-tokenizer is ${given}; supported: ${[...named.keys()].join(', ')}.`);
}

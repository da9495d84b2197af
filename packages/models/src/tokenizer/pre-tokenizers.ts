/** A pre-tokenizer in the form that tokenizer.json has. */
export type PreTokenizerJson = { readonly type: string; readonly [field: string]: unknown };

/** Pre-tokenizers that GGUF files refer to by name (`tokenizer.ggml.pre`), as the models' own tokenizer.json has them. */
const namedPreTokenizers: Readonly<Record<string, PreTokenizerJson>> = {
  smollm: {
    type: 'Sequence',
    pretokenizers: [
      { type: 'Digits', individual_digits: true },
      { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    ],
  },
};

/** Names of the pre-tokenizers that can be built for GGUF files. */
export const preTokenizerNames: readonly string[] = Object.keys(namedPreTokenizers);

/** The pre-tokenizer of a GGUF name; undefined where it is not known. */
export function preTokenizerByName(name: string): PreTokenizerJson | undefined {
  return Object.hasOwn(namedPreTokenizers, name) ? namedPreTokenizers[name] : undefined;
}

/** Pieces of text in the byte-level pre-tokenizer of GPT-2: contractions, then words, numbers, signs and white space. */
const byteLevelPattern = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/**
 * Replaces pre-tokenizers by the splits that they mean, where the JavaScript library's own differ from Hugging Face's:
 * - `Digits` splits at every Unicode number (circled, Roman, fractions), not at the ASCII ones only.
 * - `ByteLevel` takes for white space what Unicode does: U+0085 but not U+FEFF, the other way round than JavaScript.
 *
 * The library translates the patterns of `Split` with these meanings.
 */
export function withUnicodeSplits(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const json = value as Record<string, unknown>;
  if (json.type === 'Digits') return split(json.individual_digits ? '\\p{N}' : '\\p{N}+');
  // A prefix space is put before the first split, so it must stay with the pattern.
  if (json.type === 'ByteLevel' && json.use_regex !== false && !json.add_prefix_space) {
    return { type: 'Sequence', pretokenizers: [split(byteLevelPattern), { ...json, use_regex: false }] };
  }
  if (json.type === 'Sequence' && Array.isArray(json.pretokenizers)) {
    return { ...json, pretokenizers: json.pretokenizers.map(withUnicodeSplits) };
  }
  return value;
}

function split(pattern: string): PreTokenizerJson {
  return { type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false };
}

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

/**
 * Replaces `Digits` by the split that it means. Hugging Face's tokenizer splits at every Unicode number (circled, Roman,
 * fractions), while the JavaScript library's `Digits` knows the ASCII ones only.
 */
export function withUnicodeDigits(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const json = value as Record<string, unknown>;
  if (json.type === 'Digits') {
    return {
      type: 'Split',
      pattern: { Regex: json.individual_digits ? '\\p{N}' : '\\p{N}+' },
      behavior: 'Isolated',
      invert: false,
    };
  }
  if (json.type === 'Sequence' && Array.isArray(json.pretokenizers)) {
    return { ...json, pretokenizers: json.pretokenizers.map(withUnicodeDigits) };
  }
  return value;
}

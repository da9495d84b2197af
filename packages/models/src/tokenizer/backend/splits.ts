/** A pre-tokenizer in the form that tokenizer.json has. */
export type PreTokenizerJson = { readonly type: string; readonly [field: string]: unknown };

/** Pieces of text in the byte-level pre-tokenizer of GPT-2: contractions, then words, numbers, signs and white space. */
const byteLevelPattern = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/** Unicode's punctuation, and all ASCII characters that are neither letters, digits, white space nor control. */
const punctuation = '[\\p{P}!-/:-@\\[-`{-~]';

/** What Unicode takes for parts of words. */
const wordCharacters = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}';

/**
 * Replaces pre-tokenizers by the splits that they mean, where the JavaScript library's own differ from Hugging Face's:
 * - `Split` and `Punctuation` know the behaviors `Isolated` and `Removed` only.
 * - `Metaspace` does not split.
 * - `Digits` splits at every Unicode number (circled, Roman, fractions), not at the ASCII ones only.
 * - `ByteLevel`, `BertPreTokenizer`, `Whitespace` and `WhitespaceSplit` take for white space what Unicode does: U+0085 but not
 *   U+FEFF, the other way round than JavaScript; `Whitespace` takes every script's letters for words.
 *
 * The library translates the patterns of `Split` with these meanings.
 */
export function withUnicodeSplits(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const json = value as Record<string, unknown>;
  switch (json.type) {
    case 'Sequence':
      if (!Array.isArray(json.pretokenizers)) return value;
      return sequence(...json.pretokenizers.map(withUnicodeSplits));
    case 'Digits':
      return split(json.individual_digits ? '\\p{N}' : '\\p{N}+');
    case 'ByteLevel':
      // A prefix space is put before the first split, so it must stay with the pattern.
      if (json.use_regex === false || json.add_prefix_space) return value;
      return sequence(split(byteLevelPattern), { ...json, use_regex: false });
    case 'BertPreTokenizer':
      return sequence(split('\\s+', 'Removed'), split(punctuation));
    case 'Whitespace':
      return { ...split(`[${wordCharacters}]+|[^${wordCharacters}\\s]+`, 'Removed'), invert: true };
    case 'WhitespaceSplit':
      return split('\\s+', 'Removed');
    case 'Punctuation':
      return split(withBehavior(punctuation, json.behavior), json.behavior);
    case 'Split':
      return splitWithBehavior(json);
    case 'Metaspace': {
      const word = withBehavior(escaped(String(json.replacement ?? '\u2581')), 'MergedWithNext');
      return json.split === false ? value : sequence(value, split(word));
    }
    default:
      return value;
  }
}

/** Patterns are matched whole, so that what a behavior merges becomes a part of the pattern. */
function splitWithBehavior(json: Readonly<Record<string, unknown>>): unknown {
  const { pattern, behavior } = json;
  const { Regex: regex, String: text } = (pattern ?? {}) as { Regex?: unknown; String?: unknown };
  if (json.invert || (typeof regex !== 'string' && typeof text !== 'string')) return json;
  const source = typeof regex === 'string' ? regex : escaped(text as string);
  return split(withBehavior(source, behavior), behavior);
}

function withBehavior(pattern: string, behavior: unknown): string {
  switch (behavior) {
    case 'MergedWithPrevious':
      return `(?:(?!${pattern})[\\s\\S])*(?:${pattern})`;
    case 'MergedWithNext':
      return `(?:${pattern})(?:(?!${pattern})[\\s\\S])*`;
    case 'Contiguous':
      return `(?:${pattern})+`;
    default:
      return pattern;
  }
}

function split(pattern: string, behavior: unknown = 'Isolated'): PreTokenizerJson {
  const removed = behavior === 'Removed';
  return { type: 'Split', pattern: { Regex: pattern }, behavior: removed ? 'Removed' : 'Isolated', invert: false };
}

function sequence(...pretokenizers: readonly unknown[]): PreTokenizerJson {
  return { type: 'Sequence', pretokenizers };
}

/** A text as a pattern that matches it alone. */
function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}

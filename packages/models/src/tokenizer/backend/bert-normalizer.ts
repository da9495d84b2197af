/** The settings of `BertNormalizer` in tokenizer.json. */
export interface BertNormalizerJson {
  readonly clean_text?: boolean;
  readonly handle_chinese_chars?: boolean;
  /** Absent or null: as `lowercase`. */
  readonly strip_accents?: boolean | null;
  readonly lowercase?: boolean;
}

/** White space that counts as a space; every other control, format or private character is dropped. */
const spaces = /[\t\n\r\p{White_Space}]/gu;
const dropped = /(?![\t\n\r])[\ufffd\p{Cc}\p{Cf}\p{Co}\p{Cs}]/gu;

/** The blocks of ideographs that BERT takes as a word each. */
const ideographs =
  /[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]/gu;

/**
 * BERT's normalizer as Hugging Face's Rust library has it. The JavaScript library's own knows no ideographs beyond U+FFFF and
 * lower-cases whole texts, where a final sigma has a form of its own.
 */
export function bertNormalizer(json: BertNormalizerJson): (text: string) => string {
  const { clean_text, handle_chinese_chars, lowercase, strip_accents } = json;
  return (text) => {
    let normalized = text;
    if (clean_text) normalized = normalized.replace(dropped, '').replace(spaces, ' ');
    if (handle_chinese_chars) normalized = normalized.replace(ideographs, ' $& ');
    if (strip_accents ?? lowercase) normalized = normalized.normalize('NFD').replace(/\p{Mn}/gu, '');
    if (lowercase) normalized = Array.from(normalized, (character) => character.toLowerCase()).join('');
    return normalized;
  };
}

import { TokenizerError } from '../types.ts';
import { addedToken, framing } from './tokenizer-json.ts';
import { type GgufVocabulary, tokenType } from './vocabulary.ts';

/** GGUF marks pieces that begin a word with this and leaves the `##` of the others out. */
const wordStart = '\u2581';

/**
 * The tokenizer.json of WordPiece (GGUF's kind `bert`): BERT and encoders like it.
 *
 * The files seldom tell whether texts are lower-cased; they are where no piece has a capital letter.
 * @throws TokenizerError
 */
export function wordPieceJson(vocabulary: GgufVocabulary): unknown {
  const { tokens, types } = vocabulary;
  const ordinary = (id: number) => types[id] === tokenType.normal || types[id] === tokenType.unused;
  const pieces = tokens.map((token, id) => {
    if (!ordinary(id)) return token;
    return token.startsWith(wordStart) ? token.slice(1) : `##${token}`;
  });
  const ids = vocabulary.ids(pieces);
  const unknown = vocabulary.roleText('unk') ?? '[UNK]';
  if (!ids.has(unknown)) throw new TokenizerError('missing', 'The GGUF file names no unknown token for WordPiece.');
  const lowercase = vocabulary.flag(
    'normalizer.lowercase',
    !pieces.some((piece, id) => ordinary(id) && /[A-Z]/.test(piece)),
  );
  const first = vocabulary.flag('add_bos_token', true)
    ? (vocabulary.roleText('cls') ?? vocabulary.roleText('bos'))
    : undefined;
  const last = vocabulary.flag('add_eos_token', true)
    ? (vocabulary.roleText('sep') ?? vocabulary.roleText('eos'))
    : undefined;
  return {
    added_tokens: pieces.flatMap((content, id) =>
      ordinary(id) ? [] : [addedToken({ id, content, special: types[id] !== tokenType.userDefined })],
    ),
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: vocabulary.flag('normalizer.strip_accents', lowercase),
      lowercase,
    },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: framing(first, last, (token) => ids.get(token) as number),
    decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
    model: {
      type: 'WordPiece',
      unk_token: unknown,
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(ids),
    },
  };
}

import { TokenizerError } from '../types.ts';
import { addedToken, framing } from './tokenizer-json.ts';
import { type GgufVocabulary, tokenType } from './vocabulary.ts';

/** What SentencePiece writes for a space. */
const space = '\u2581';

/** Pieces in use have at most some dozens of characters; what is far longer would take forever to be cut. */
const longestPiece = 1024;

/**
 * The tokenizer.json of SentencePiece BPE (GGUF's kind `llama`): Llama 2, Mistral, Gemma. Pieces join in the order of their
 * scores; characters that are no piece fall back to their bytes.
 * @throws TokenizerError
 */
export function sentencePieceJson(vocabulary: GgufVocabulary): unknown {
  const { types } = vocabulary;
  // Some files write runs of spaces as spaces.
  const pieces = vocabulary.tokens.map((token, id) =>
    types[id] === tokenType.userDefined ? token.replaceAll(' ', space) : token,
  );
  const ids = vocabulary.ids(pieces);
  const prefixed = vocabulary.flag('add_space_prefix', true);
  const first = vocabulary.flag('add_bos_token', true) ? vocabulary.roleText('bos') : undefined;
  const last = vocabulary.flag('add_eos_token', false) ? vocabulary.roleText('eos') : undefined;
  const toPieces = { type: 'Replace', pattern: { String: ' ' }, content: space };
  const toText = [
    { type: 'Replace', pattern: { String: space }, content: ' ' },
    { type: 'ByteFallback' },
    { type: 'Fuse' },
  ];
  return {
    added_tokens: pieces.flatMap((content, id) => {
      const special = types[id] === tokenType.control || types[id] === tokenType.unknown;
      return special || types[id] === tokenType.userDefined ? [addedToken({ id, content, special })] : [];
    }),
    normalizer: prefixed
      ? { type: 'Sequence', normalizers: [{ type: 'Prepend', prepend: space }, toPieces] }
      : toPieces,
    pre_tokenizer: null,
    post_processor: framing(first, last, (token) => ids.get(token) as number),
    decoder: {
      type: 'Sequence',
      decoders: prefixed ? [...toText, { type: 'Strip', content: ' ', start: 1, stop: 0 }] : toText,
    },
    model: {
      type: 'BPE',
      unk_token: pieces[types.indexOf(tokenType.unknown)] ?? vocabulary.roleText('unk') ?? null,
      fuse_unk: true,
      byte_fallback: types.includes(tokenType.byte),
      ignore_merges: false,
      vocab: Object.fromEntries(ids),
      merges: merges(pieces, types, vocabulary.scores(), ids),
    },
  };
}

/**
 * All ways to join two pieces to a third, in the order in which SentencePiece joins: runs of spaces first, which it takes whole
 * before anything else, then by score. Of several ways to one piece, and of the runs, the one with the longer left part goes
 * first, as in Hugging Face's conversion of Gemma.
 */
function merges(
  pieces: readonly string[],
  types: readonly number[],
  scores: readonly number[],
  ids: ReadonlyMap<string, number>,
): [string, string][] {
  const joins = (id: number): [string, string][] => {
    const piece = pieces[id] as string;
    const found: [string, string][] = [];
    if (piece.length > longestPiece) {
      throw new TokenizerError(
        'invalid',
        `The GGUF file has a piece of ${piece.length} characters; pieces have at most ${longestPiece}.`,
      );
    }
    for (let cut = piece.length - 1; cut > 0; cut--) {
      const [left, right] = [piece.slice(0, cut), piece.slice(cut)];
      if (ids.has(left) && ids.has(right)) found.push([left, right]);
    }
    return found;
  };
  const all = [...pieces.keys()];
  const runs = all.filter((id) => types[id] === tokenType.userDefined && /^\u2581+$/.test(pieces[id] as string));
  const ordinary = all.filter((id) => types[id] === tokenType.normal);
  ordinary.sort((a, b) => (scores[b] as number) - (scores[a] as number));
  return [...runs.flatMap(joins).sort(([a], [b]) => b.length - a.length), ...ordinary.flatMap(joins)];
}

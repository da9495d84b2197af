import { TokenizerError } from '../types.ts';
import { namedPreTokenizer } from './pre-tokenizers.ts';
import { addedToken, framing } from './tokenizer-json.ts';
import { type GgufVocabulary, tokenType } from './vocabulary.ts';

/**
 * The tokenizer.json of byte-level BPE (GGUF's kind `gpt2`): GPT-2, GPT-NeoX, Llama 3, Qwen, SmolLM.
 * @throws TokenizerError
 */
export function byteLevelJson(vocabulary: GgufVocabulary): unknown {
  const { tokens, types } = vocabulary;
  const { preTokenizer, normalizer, ignoreMerges, addBos } = namedPreTokenizer(vocabulary.get('pre'));
  const ids = vocabulary.ids();
  const first = vocabulary.flag('add_bos_token', addBos) ? vocabulary.roleText('bos') : undefined;
  const last = vocabulary.flag('add_eos_token', false) ? vocabulary.roleText('eos') : undefined;
  return {
    added_tokens: tokens.flatMap((content, id) => {
      const special = types[id] === tokenType.control;
      return special || types[id] === tokenType.userDefined ? [addedToken({ id, content, special })] : [];
    }),
    normalizer,
    pre_tokenizer: preTokenizer,
    post_processor: framing(first, last, (token) => ids.get(token) as number),
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      unk_token: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: ignoreMerges,
      vocab: Object.fromEntries(ids),
      merges: vocabulary.texts('merges').map((merge) => mergeOf(merge, ids)),
    },
  };
}

function mergeOf(merge: string, ids: ReadonlyMap<string, number>): [string, string] {
  const [left, right, ...rest] = merge.split(' ');
  if (!left || !right || rest.length > 0) {
    throw new TokenizerError('invalid', `The GGUF file has the merge ${JSON.stringify(merge)}; a merge is two tokens.`);
  }
  for (const token of [left, right, left + right]) {
    if (ids.has(token)) continue;
    throw new TokenizerError(
      'invalid',
      `The GGUF file has the merge ${JSON.stringify(merge)}, but no token ${JSON.stringify(token)}.`,
    );
  }
  return [left, right];
}

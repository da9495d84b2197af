import type { MetadataValue, WeightFile } from '../weights/types.ts';
import { HuggingFaceTokenizer } from './huggingface-tokenizer.ts';
import { preTokenizerByName, preTokenizerNames } from './pre-tokenizers.ts';
import { type Tokenizer, TokenizerError } from './types.ts';

/** GGUF's token types that are matched in the text before anything else. */
const controlToken = 3;
const userDefinedToken = 4;

/** Where the metadata has the ids of special tokens. */
const roleKeys = {
  bos: 'bos_token_id',
  eos: 'eos_token_id',
  pad: 'padding_token_id',
  unk: 'unknown_token_id',
} as const;

/**
 * The tokenizer in a GGUF file's metadata, for byte-level BPE: builds the tokenizer.json that the model would have.
 *
 * @param endOfTextIds Ids that end a text; the model's configuration has them.
 * @throws TokenizerError
 */
export function ggufTokenizer(file: WeightFile, endOfTextIds: readonly number[]): Tokenizer {
  const get = (name: string): MetadataValue | undefined => file.metadata.get(`tokenizer.ggml.${name}`);
  const kind = get('model');
  if (kind === undefined) throw new TokenizerError('missing', 'The GGUF file holds no tokenizer.');
  if (kind !== 'gpt2')
    throw new TokenizerError('unsupported', `The tokenizer is of the kind ${JSON.stringify(kind)}; supported: "gpt2".`);
  const name = get('pre');
  const preTokenizer = typeof name === 'string' ? preTokenizerByName(name) : undefined;
  if (!preTokenizer) {
    throw new TokenizerError(
      'unsupported',
      `The pre-tokenizer is ${JSON.stringify(name)}; supported: ${preTokenizerNames.join(', ')}.`,
    );
  }
  const tokens = texts(get('tokens'), 'tokens');
  const vocabulary = Object.fromEntries(tokens.map((token, id) => [token, id]));
  const texted = (id: MetadataValue | undefined): string | undefined =>
    typeof id === 'number' ? tokens[id] : undefined;
  const specialTexts: Partial<Record<keyof typeof roleKeys, string>> = {};
  for (const role of ['bos', 'eos', 'pad', 'unk'] as const) {
    const text = texted(get(roleKeys[role]));
    if (text !== undefined) specialTexts[role] = text;
  }
  const template = file.metadata.get('tokenizer.chat_template');
  return new HuggingFaceTokenizer({
    tokenizer: {
      added_tokens: addedTokens(tokens, get('token_type')),
      normalizer: null,
      pre_tokenizer: preTokenizer,
      post_processor: beginning(get('add_bos_token') === true ? specialTexts.bos : undefined, vocabulary),
      decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
      model: {
        type: 'BPE',
        unk_token: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: false,
        vocab: vocabulary,
        merges: merges(get('merges')),
      },
    },
    specialTexts,
    endOfTextIds,
    chatTemplate: typeof template === 'string' ? template : undefined,
    cleanUpSpaces: false,
  });
}

function addedTokens(tokens: readonly string[], types: MetadataValue | undefined): unknown[] {
  if (!Array.isArray(types) || types.length !== tokens.length) {
    throw new TokenizerError('invalid', `The GGUF file has ${tokens.length} tokens, but not as many token types.`);
  }
  return tokens.flatMap((content, id) => {
    const special = types[id] === controlToken;
    if (!special && types[id] !== userDefinedToken) return [];
    return [{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special }];
  });
}

/** A post-processor that puts a token before each text; none without one. */
function beginning(token: string | undefined, vocabulary: Readonly<Record<string, number>>): unknown {
  if (token === undefined) return null;
  const first = { SpecialToken: { id: token, type_id: 0 } };
  const text = (id: string) => ({ Sequence: { id, type_id: 0 } });
  return {
    type: 'TemplateProcessing',
    single: [first, text('A')],
    pair: [first, text('A'), first, text('B')],
    special_tokens: { [token]: { id: token, ids: [vocabulary[token]], tokens: [token] } },
  };
}

function merges(value: MetadataValue | undefined): [string, string][] {
  return texts(value, 'merges').map((merge) => {
    const [left, right, ...rest] = merge.split(' ');
    if (!left || !right || rest.length > 0) {
      throw new TokenizerError(
        'invalid',
        `The GGUF file has the merge ${JSON.stringify(merge)}; a merge is two tokens.`,
      );
    }
    return [left, right];
  });
}

function texts(value: MetadataValue | undefined, what: string): string[] {
  if (!Array.isArray(value)) throw new TokenizerError('missing', `The GGUF file has no ${what} of its tokenizer.`);
  return value.map((item: unknown) => {
    if (typeof item !== 'string') throw new TokenizerError('invalid', `The GGUF file's ${what} are not all texts.`);
    return item;
  });
}

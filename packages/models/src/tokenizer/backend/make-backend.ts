import { Tokenizer as Backend } from '@huggingface/tokenizers';
import { TokenizerError } from '../types.ts';
import { type BertNormalizerJson, bertNormalizer } from './bert-normalizer.ts';
import { withUnicodeSplits } from './splits.ts';

/** Models whose ids are tested against Hugging Face's. */
const supportedModels = ['BPE', 'WordPiece'];

type JsonObject = Readonly<Record<string, unknown>>;

/**
 * Hugging Face's JavaScript tokenizer of a parsed tokenizer.json, with the parts replaced in which it differs from the Rust
 * library.
 * @throws TokenizerError `invalid` or `unsupported`
 */
export function makeBackend(json: unknown): Backend {
  if (!isObject(json) || !isObject(json.model)) {
    throw new TokenizerError('invalid', 'tokenizer.json is not an object with a model.');
  }
  const kind = modelKind(json.model);
  if (!supportedModels.includes(kind)) {
    throw new TokenizerError(
      'unsupported',
      `The tokenizer's model is ${JSON.stringify(kind)}; supported: ${supportedModels.join(', ')}.`,
    );
  }
  try {
    const parts = { added_tokens: [], normalizer: null, post_processor: null, decoder: null, ...json };
    const backend = new Backend({ ...parts, pre_tokenizer: withUnicodeSplits(json.pre_tokenizer ?? null) }, {});
    const { normalizer } = json;
    if (isObject(normalizer) && normalizer.type === 'BertNormalizer') {
      backend.normalizer = bertNormalizer(normalizer as BertNormalizerJson);
    }
    keepByteOrderMarks(backend.decoder);
    return backend;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new TokenizerError('unsupported', `No tokenizer can be made of tokenizer.json: ${reason}`, { cause });
  }
}

/** Old files do not name the model's kind. */
function modelKind(model: JsonObject): string {
  if (model.type !== undefined) return String(model.type);
  if ('merges' in model) return 'BPE';
  return Array.isArray(model.vocab) ? 'Unigram' : 'WordPiece';
}

/** A decoder of the library: a sequence of others, or one that may decode bytes. */
interface BackendDecoder {
  readonly decoders?: readonly BackendDecoder[];
  text_decoder?: TextDecoder;
}

/** U+FEFF from bytes is text like any other. */
function keepByteOrderMarks(decoder: BackendDecoder | null): void {
  for (const part of decoder?.decoders ?? []) keepByteOrderMarks(part);
  if (decoder?.text_decoder) decoder.text_decoder = new TextDecoder('utf-8', { ignoreBOM: true });
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

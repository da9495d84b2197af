import type { WeightFile } from '../../weights/types.ts';
import { HuggingFaceTokenizer } from '../huggingface-tokenizer.ts';
import { type Tokenizer, TokenizerError } from '../types.ts';
import { byteLevelJson } from './byte-level.ts';
import { sentencePieceJson } from './sentencepiece.ts';
import { GgufVocabulary, shown } from './vocabulary.ts';
import { wordPieceJson } from './wordpiece.ts';

/** Builders by GGUF's name of the tokenizer's kind (`tokenizer.ggml.model`). */
const builders: ReadonlyMap<string, (vocabulary: GgufVocabulary) => unknown> = new Map([
  ['gpt2', byteLevelJson],
  ['llama', sentencePieceJson],
  ['bert', wordPieceJson],
]);

/**
 * The tokenizer in a GGUF file's metadata: builds the tokenizer.json that the model would have.
 *
 * @param endOfTextIds Ids that end a text; the model's configuration has them. Those that end a turn are added.
 * @throws TokenizerError
 */
export function ggufTokenizer(file: WeightFile, endOfTextIds: readonly number[]): Tokenizer {
  const kind = file.metadata.get('tokenizer.ggml.model');
  if (kind === undefined) throw new TokenizerError('missing', 'The GGUF file holds no tokenizer.');
  const build = typeof kind === 'string' ? builders.get(kind) : undefined;
  if (!build) {
    throw new TokenizerError(
      'unsupported',
      `The tokenizer is of the kind ${shown(kind)}; supported: ${[...builders.keys()].join(', ')}.`,
    );
  }
  const vocabulary = new GgufVocabulary(file);
  const template = file.metadata.get('tokenizer.chat_template');
  return new HuggingFaceTokenizer({
    tokenizer: build(vocabulary),
    specialTexts: vocabulary.specialTexts(),
    endOfTextIds: [...new Set([...endOfTextIds, ...vocabulary.turnEnds()])],
    chatTemplate: typeof template === 'string' ? template : undefined,
  });
}
